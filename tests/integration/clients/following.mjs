// What the clients in Node and in the browser share: each says on one line what happened, as JSON.
// The messages are not looked into: who reads the lines does that (tests/integration/following.py).

/** The address of a stream with options as the query has them; lists repeat their parameter. */
export function withOptions(url, options) {
  const address = new URL(url);
  for (const [name, value] of Object.entries(options)) {
    const members = typeof value === 'object' && !Array.isArray(value) ? Object.entries(value) : [['', value]];
    for (const [member, part] of members) {
      const key = member ? `${name}.${member}` : name;
      for (const each of [part].flat()) address.searchParams.append(key, each);
    }
  }
  return address.href;
}

export const TYPES = ['subscribed', 'update', 'event', 'delta', 'batch', 'dropped', 'heartbeat', 'error'];

/** Follow with an EventSource, which connects again by itself. A failure of the connection is no MessageEvent. */
export function followEvents(EventSource, url, init, say) {
  const source = new EventSource(url, init);
  source.addEventListener('open', () => say({ opened: true }));
  for (const type of TYPES) {
    source.addEventListener(type, (event) => {
      if (event.data === undefined) say({ closed: source.readyState === 2 ? 'for good' : 'connecting' });
      else say({ message: JSON.parse(event.data), lastEventId: event.lastEventId });
    });
  }
  return source;
}

/** Follow over WebSockets: connect again after each end, with the cursor. `decode` reads binary messages. */
export function followSocket(connect, options, say, decode) {
  let cursor;
  let epoch;
  const dial = () => {
    const socket = connect();
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => {
      say({ opened: true, subprotocol: socket.protocol, extensions: socket.extensions });
      socket.send(JSON.stringify({ type: 'subscribe', data: cursor ? { ...options, after: cursor } : options }));
    };
    socket.onmessage = ({ data }) => {
      const message = typeof data === 'string' ? JSON.parse(data) : decode(new Uint8Array(data), epoch);
      if (message.type === 'subscribed') epoch = message.data.position.split('-')[0];
      for (const each of message.messages ?? [message]) cursor = each.id ?? cursor;
      if (message.type === 'subscribed') cursor ??= message.data.position;
      say({ message });
    };
    socket.onerror = () => {};
    socket.onclose = ({ code }) => {
      say({ closed: code });
      setTimeout(dial, 100);
    };
  };
  dial();
}
