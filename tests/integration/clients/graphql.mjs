// Follow a GraphQL subscription: node graphql.mjs MODULES PACKAGE URL DOCUMENT
// PACKAGE is `graphql-ws` or `graphql-sse`. Each connects again by itself; the subscription goes on at the last position.
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [modules, name, url, document] = process.argv.slice(2);
const require = createRequire(join(modules, 'index.js'));
const { createClient } = require(name);
const say = (line) => console.log(JSON.stringify(line));
const socket = { webSocketImpl: name === 'graphql-ws' ? require('ws').WebSocket : undefined };
const client = createClient({ url, ...socket, retryAttempts: 0, on: { closed: (event) => say({ closed: event?.code }) } });
let after = null;
for (;;) {
  try {
    for await (const result of client.iterate({ query: document, variables: { after } })) {
      after = result.data?.stream?.position ?? after;
      say({ result });
    }
    say({ ended: true });
  } catch (error) {
    say({ failed: String(error?.message ?? error?.code ?? error) });
  }
  await new Promise((resolve) => setTimeout(resolve, 100));
}
