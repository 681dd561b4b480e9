// Bundles the page: node build.mjs MODULES OUTPUT
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';

const [modules, output] = process.argv.slice(2);
const require = createRequire(join(modules, 'package.json'));
const here = dirname(fileURLToPath(import.meta.url));
await require('esbuild').build({
  entryPoints: [join(here, 'src/main.tsx')],
  outfile: join(output, 'page.js'),
  nodePaths: [modules],
  bundle: true, minify: true, jsx: 'automatic', format: 'iife', logLevel: 'error',
  define: { 'process.env.NODE_ENV': '"production"', global: 'window' },
  loader: { '.woff2': 'dataurl', '.woff': 'empty', '.svg': 'text', '.ttf': 'empty' },
});
mkdirSync(output, { recursive: true });
// Where the components look for their icons.
cpSync(join(modules, '@grafana/ui/dist/public/img'), join(output, 'public/build/img'), { recursive: true });
writeFileSync(join(output, 'index.html'), '<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="page.css"><div id="root"></div><script src="page.js"></script>');
