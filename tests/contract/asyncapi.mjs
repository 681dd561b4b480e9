// Say what the AsyncAPI Initiative's own parser has against a document: node asyncapi.mjs MODULES FILE
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [modules, file] = process.argv.slice(2);
const { Parser } = createRequire(join(modules, 'index.js'))('@asyncapi/parser');
const { document, diagnostics } = await new Parser().parse(readFileSync(file, 'utf8'));
console.log(JSON.stringify({
  channels: document?.channels().all().map((channel) => channel.address()) ?? [],
  found: diagnostics.map(({ code, message, path, severity }) => ({ code, message, path: path.join('.'), severity })),
}));
