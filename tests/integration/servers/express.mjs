// A backend on Express that sends server-sent events and knows nothing of subscriptions: node express.mjs MODULES
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { say, sendAll } from './messages.mjs';

const [modules] = process.argv.slice(2);
const app = createRequire(join(modules, 'index.js'))('express')();
app.get(['/api/stream', '/api/stream/overview', '/api/stream/events'], (request, response) => {
  say({ opened: request.url });
  response.set({ 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' });
  response.flushHeaders();
  sendAll((message) => response.write(`event: ${message.type}\ndata: ${JSON.stringify(message)}\n\n`), () => !request.destroyed);
  request.on('close', () => say({ closed: true }));
});
const server = app.listen(0, '127.0.0.1', () => say({ port: server.address().port }));
