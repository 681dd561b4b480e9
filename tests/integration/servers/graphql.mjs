// A backend on the npm package `graphql-ws`: node graphql.mjs MODULES SCHEMA
// It sends a whole state and numbered events, cuts the first connection after ten of them, and resumes by the argument `after`.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { COUNT, say } from './messages.mjs';

const [modules, file] = process.argv.slice(2);
const require = createRequire(join(modules, 'index.js'));
const { buildSchema } = require('graphql');
const { WebSocketServer } = require('ws');
const { useServer } = require('graphql-ws/use/ws');
const now = () => new Date().toISOString();
let opened = 0;

async function* stream({ after, channels }) {
  opened += 1;
  const isFirst = opened === 1;
  say({ opened, after: after ?? null, channels: channels ?? null });
  const first = after ? Number(after.split('-')[1]) : 0;
  const resume = after ? { outcome: 'full', replayed: 0, missed: 0, epoch: 'e', lastEventId: after } : null;
  yield { stream: { __typename: 'Subscribed', timestamp: now(), position: `e-${first}`, granted: {}, resume } };
  const project = { id: 'alpha', name: 'Alpha', status: 'warning', health_score: 71.5, total_runs: 321 };
  yield { stream: { __typename: 'Update', timestamp: now(), metrics: { total_projects: 1 }, projects: [project], events: first ? null : [], anomalies: [] } };
  for (let number = first; number < COUNT; number += 1) {
    if (isFirst && number === 10) return;
    const event = { id: `evt-${number}`, timestamp: now(), project: 'alpha', event_type: 'evaluation', severity: 'info', message: 'a run' };
    yield { stream: { __typename: 'EventMessage', timestamp: now(), position: `e-${number + 1}`, replay: false, advance: false, event } };
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await new Promise((resolve) => setTimeout(resolve, 60000));
}

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, path: '/api/graphql' });
const schema = buildSchema(readFileSync(file, 'utf8'));
schema.getSubscriptionType().getFields().stream.subscribe = (_, options) => stream(options);
useServer({ schema }, server);
server.on('listening', () => say({ port: server.address().port }));
