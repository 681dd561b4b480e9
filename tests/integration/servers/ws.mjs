// A backend on the npm package `ws`: node ws.mjs MODULES ANSWER SUBPROTOCOLS
// ANSWER: `nothing` (it reads no messages), `error` (it knows no message but heartbeats, and says so), or `subscribed` (it answers
// a subscribe, and grants nothing).
// SUBPROTOCOLS: `first` (what `ws` does by itself: the first one offered is taken), or `none`.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { say, sendAll, subscribed } from './messages.mjs';

const [modules, answer, subprotocols] = process.argv.slice(2);
const { WebSocketServer } = createRequire(join(modules, 'index.js'))('ws');
const refuse = subprotocols === 'none' ? { handleProtocols: () => false } : {};
const server = new WebSocketServer({ host: '127.0.0.1', port: 0, ...refuse });
server.on('listening', () => say({ port: server.address().port }));
server.on('connection', (socket, request) => {
  say({ opened: request.url, offered: request.headers['sec-websocket-protocol'] ?? '', protocol: socket.protocol });
  const send = (message) => socket.send(JSON.stringify(message));
  send({ type: 'ping', timestamp: new Date().toISOString() });
  const begin = () => sendAll(send, () => socket.readyState === socket.OPEN);
  socket.on('message', (data, isBinary) => {
    const message = JSON.parse(data);
    say({ heard: message.type, message, isBinary });
    if (answer === 'error' && !['ping', 'pong'].includes(message.type)) {
      send({ type: 'error', error: { code: 'INVALID_REQUEST', message: `unknown type: ${message.type}` } });
    }
    if (answer === 'subscribed' && message.type === 'subscribe') {
      send(subscribed());
      begin();
    }
  });
  socket.on('close', (code) => say({ closed: code }));
  if (answer !== 'subscribed') begin();
});
