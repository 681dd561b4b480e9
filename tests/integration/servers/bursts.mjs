// Twenty results for whoever connects, then silence: node bursts.mjs MODULES socket.io|graphql-ws PORT
// A client whose number is below CUT is cut off after its burst. Each line says what was sent to whom.
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [modules, kind, port, cut] = process.argv.slice(2);
const require = createRequire(join(modules, 'index.js'));
const say = (line) => console.log(JSON.stringify(line));
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const BURST = 20;
let clients = 0;

const http = createServer();
if (kind === 'socket.io') {
  const { Server } = require('socket.io');
  const io = new Server(http, { pingInterval: 300, pingTimeout: 2000, transports: ['websocket'] });
  io.on('connection', async (socket) => {
    const client = (clients += 1);
    say({ connected: client });
    for (let number = 0; number < BURST; number += 1) {
      socket.emit(number % 2 ? 'odd' : 'even', { number, client });
      await pause(5);
    }
    say({ sent: BURST, client });
    await pause(900);
    if (client < Number(cut)) socket.disconnect(true);
  });
} else {
  const { buildSchema } = require('graphql');
  const { WebSocketServer } = require('ws');
  const { useServer } = require('graphql-ws/use/ws');
  const schema = buildSchema('type Order { id: Int! status: String! } type Query { none: Int } type Subscription { orders: Order! }');
  schema.getSubscriptionType().getFields().orders.subscribe = async function* () {
    const client = (clients += 1);
    say({ connected: client });
    for (let number = 0; number < BURST; number += 1) {
      yield { orders: { id: number, status: number % 2 ? 'PAID' : 'OPEN' } };
      await pause(5);
    }
    say({ sent: BURST, client });
    await pause(900);
    if (client < Number(cut)) return; // which completes the subscription
    await new Promise(() => {});
  };
  useServer({ schema }, new WebSocketServer({ server: http, path: '/graphql' }), 300);
}
http.listen(Number(port), '127.0.0.1', () => say({ port: http.address().port }));
