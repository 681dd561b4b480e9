// Draws dashboards in a headless Chromium: node render.mjs MODULES PAGE CHROMIUM JOBS OUTPUT
// JOBS is a JSON list; for each job NAME.json (measures and facts) and, with `picture`, NAME.png are written to OUTPUT. The
// picture is of the whole page, or of the first `height` pixels.
import { createRequire } from 'node:module';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [modules, directory, chromium, jobs, output] = process.argv.slice(2);
const puppeteer = createRequire(join(modules, 'package.json'))('puppeteer-core');
// Tables draw their rows when they are on the screen: this one is higher than any dashboard.
const HEIGHT = 6000;

const browser = await puppeteer.launch({
  executablePath: chromium,
  // Root has no sandbox in Chromium. The page is ours, from a file, and asks for nothing.
  args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--font-render-hinting=none', '--allow-file-access-from-files'],
});
try {
  const page = await browser.newPage();
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(error.stack ?? error.message));
  page.on('console', (message) => message.type() === 'error' && !message.text().startsWith('Failed to load') && complaints.push(message.text()));
  // Grafana serves its fonts from there; here they are in the bundle.
  page.on('requestfailed', (request) => !request.url().includes('/public/fonts/') && complaints.push(`not there: ${request.url()}`));
  await page.goto(pathToFileURL(join(directory, 'index.html')));
  for (const { name, width, picture, height, ...job } of JSON.parse(readFileSync(jobs))) {
    await page.setViewport({ width, height: HEIGHT });
    const loaded = { ...job, board: JSON.parse(readFileSync(job.board)), answers: JSON.parse(readFileSync(job.answers)) };
    await page.evaluate((loaded) => window.draw(loaded), loaded);
    writeFileSync(join(output, `${name}.json`), JSON.stringify({ ...(await page.evaluate(() => window.report())), complaints: complaints.splice(0) }));
    if (picture) {
      const whole = await page.evaluate(() => document.querySelector('.page').offsetHeight);
      await page.screenshot({ path: join(output, `${name}.png`), clip: { x: 0, y: 0, width, height: height || whole } });
    }
  }
} finally {
  await browser.close();
}
