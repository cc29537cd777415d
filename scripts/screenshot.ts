import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { pino } from 'pino';
import { chromium } from 'playwright-core';
import { QueueClient } from '../queues/index.js';
import { startDashboard } from '../src/dashboard/server.js';
import { toPalettePng } from '../src/media/image.js';
import { readSettings, type Settings } from '../src/settings.js';
import { ensureRedis, stopRedis } from '../src/workers/redis.js';
import { startWorker } from '../src/workers/worker.js';
import { chromiumAdvice, chromiumArguments, findChromium } from './chromium.js';
import { makeClips, readQuestions } from './clip-files.js';

/*
 * The picture of the dashboard in the README: a clip made from a seed, its questions answered by the shipped model, and the
 * page of that job in a browser.
 */

const usage = `Usage: npm run screenshot -- [--seed S] [--out FILE] [--chrome PATH]

  --seed S       seed of the clip (default: 4)
  --out FILE     where the picture goes (default: docs/job-page.png)
  --chrome PATH  the browser (default: chromium, chromium-browser or google-chrome on PATH)`;

const width = 1280;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '4' },
      out: { type: 'string', default: 'docs/job-page.png' },
      chrome: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) return console.log(usage);
  const browser = findChromium(values.chrome);
  if (browser === null) throw new Error(chromiumAdvice);
  const folder = mkdtempSync(join(tmpdir(), 'visionzip-screenshot-'));
  const settings = readSettings({ VISIONZIP_HOME: join(folder, 'home'), VISIONZIP_VIDEO_DIRS: folder });
  try {
    await makeClips(Number(values.seed), 1, folder);
    const picture = await withJob(settings, folder, (url) => photograph(browser, url));
    const small = await toPalettePng(picture);
    writeFileSync(values.out, small);
    console.log(`${values.out}: ${Math.ceil(small.length / 1024)} KiB`);
  } finally {
    await stopRedis(settings);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Answers the clip's questions, and shows the dashboard while `act` goes on with the address of the job's page. */
async function withJob<T>(settings: Settings, folder: string, act: (url: string) => Promise<T>): Promise<T> {
  const { connection } = await ensureRedis(settings);
  const client = new QueueClient({ connection });
  const worker = await startWorker(settings, pino({ level: 'silent' }));
  const dashboard = await startDashboard({
    settings: { ...settings, logLevel: 'silent' },
    connection,
    port: 0,
  });
  try {
    const rows = readQuestions(folder);
    const questions = rows.slice(0, 3).map(({ question }) => question);
    const video = join(folder, rows[0]!.video);
    // The first job also loads the model, which no other one waits for.
    await client.askAndWait({ video, questions: 'Ready?', sampling: { frames: 1 } });
    const { id } = await client.askAndWait({ video, questions, sampling: { frames: 16 } });
    return await act(`${dashboard.url}jobs/${id}`);
  } finally {
    await dashboard.close();
    await worker.close();
    await client.close();
  }
}

/** The page down to the end of what the model saw, with one of the first frames chosen. */
async function photograph(executablePath: string, url: string): Promise<Buffer> {
  const browser = await chromium.launch({ executablePath, args: [...chromiumArguments] });
  try {
    const page = await browser.newPage({
      viewport: { width, height: 2_400 },
      locale: 'en-GB',
      colorScheme: 'light',
    });
    await page.goto(url);
    const frames = page.getByRole('list', { name: 'Frames' }).getByRole('button');
    await frames.first().waitFor();
    await frames.nth(2).click();
    await page.locator('video').evaluate(seekingEnds);
    await page.mouse.move(0, 0);
    await page.waitForTimeout(1_500); // The player's signs fade.
    const seen = await page.locator('.seen').boundingBox();
    const height = Math.ceil(seen!.y + seen!.height + 16);
    return await page.screenshot({ clip: { x: 0, y: 0, width, height } });
  } finally {
    await browser.close();
  }
}

/** Runs in the page: waits until the player shows the frame that it was told to. */
const seekingEnds = `(video) => new Promise((resolve) => {
  const look = () => (video.seeking || video.readyState < 3 ? setTimeout(look, 50) : resolve());
  look();
})` as unknown as (video: unknown) => Promise<void>;

await main();
