// Follow a WebSocket with the npm package `ws`: node ws.mjs MODULES URL OPTIONS SUBPROTOCOLS SCHEMA
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { decoder } from './decoding.mjs';
import { followSocket } from './following.mjs';

const [modules, url, options, subprotocols, schema] = process.argv.slice(2);
const require = createRequire(join(modules, 'index.js'));
const { WebSocket } = require('ws');
const decode = decoder(require('protobufjs'), readFileSync(schema, 'utf8'));
const say = (line) => console.log(JSON.stringify(line));
followSocket(() => new WebSocket(url, JSON.parse(subprotocols)), JSON.parse(options), say, decode);
