// What the servers in Node send: a whole state, then numbered events, one each few milliseconds.
export const COUNT = 40;
const EVERY_MS = 20;
const CHANNELS = ['metrics', 'projects', 'events', 'anomalies'];

const envelope = (type, data) => ({ type, timestamp: new Date().toISOString(), data });
export const say = (line) => console.log(JSON.stringify(line));

export const subscribed = () => envelope('subscribed', { channels: CHANNELS });

/** Send everything by `send`, which takes one message, until `isOpen` says no. */
export function sendAll(send, isOpen) {
  const project = { id: 'alpha', name: 'Alpha', status: 'warning', health_score: 71.5, total_runs: 321 };
  send(envelope('update', { metrics: { total_projects: 1, active_experts: 7 }, projects: [project], events: [], anomalies: [] }));
  let number = 0;
  const timer = setInterval(() => {
    if (number >= COUNT || !isOpen()) return clearInterval(timer);
    const event = { id: `evt-${number}`, timestamp: new Date().toISOString(), project: 'alpha', event_type: 'evaluation', severity: 'info', message: 'a run' };
    send(envelope('event', event));
    number += 1;
  }, EVERY_MS);
}
