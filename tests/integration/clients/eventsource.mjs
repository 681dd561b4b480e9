// Follow server-sent events with the npm package `eventsource`: node eventsource.mjs MODULES URL OPTIONS
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { followEvents, withOptions } from './following.mjs';

const [modules, url, options] = process.argv.slice(2);
const { EventSource } = createRequire(join(modules, 'index.js'))('eventsource');
followEvents(EventSource, withOptions(url, JSON.parse(options)), {}, (line) => console.log(JSON.stringify(line)));
