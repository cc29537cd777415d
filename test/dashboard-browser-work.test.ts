import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Queue } from 'bullmq';
import type { Page } from 'playwright-core';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { patientClient, patientOptions } from '../queues/connection.js';
import { keysOf } from '../queues/options.js';
import { TextWriter } from '../queues/text.js';
import type { JobDetail } from '../src/dashboard/api/schemas.js';
import type { Dashboard } from '../src/dashboard/server.js';
import { describeInBrowser, useBrowser } from './support/browser.js';
import { showBench } from './support/night.js';
import { useRedis } from './support/redis.js';
import { until } from './support/script.js';
import { Bench, longLock } from './support/worker.js';

describeInBrowser('work under the eyes of a viewer', () => {
  const redis = useRedis();
  let bench: Bench;
  let dashboard: Dashboard;

  beforeEach(async () => {
    bench = new Bench(redis.home, redis.connection, longLock);
    dashboard = await showBench(bench, redis);
  });
  afterEach(async () => {
    await dashboard.close();
    await bench.close();
  });
  // Behind the others: its pages are closed before what they show.
  const browser = useBrowser();

  const ask = (video: string, questions = 'what?') => bench.client.ask({ video, questions });
  const badge = (page: Page, state: string) =>
    page.locator('.head-line .badge', { hasText: state }).waitFor();
  const press = (page: Page, name: string) => page.getByRole('button', { name }).click();
  const tile = (page: Page, state: string, count: number) =>
    page
      .getByRole('list', { name: 'Jobs by state' })
      .getByRole('link', { name: `${state} ${count}` })
      .waitFor();

  it('goes from waiting to done on all pages, without a reload', async () => {
    const gate = join(bench.dir, 'gate');
    const video = bench.video('clip.mp4', { text: 'a red kite', say: ['a red ', 'kite'], gate });
    const id = await ask(video);
    const list = await browser.open(`${dashboard.url}jobs`);
    const overview = await browser.open(dashboard.url);
    const job = await browser.open(`${dashboard.url}jobs/${id}`);
    const row = list.locator('.job-row', { hasText: 'clip.mp4' });
    await row.getByText('waiting').waitFor();
    await tile(overview, 'waiting', 1);
    await overview.getByText('No worker is connected:').waitFor();
    await badge(job, 'waiting');
    for (const page of [list, overview, job]) await page.evaluate('window.isFirst = true');

    await bench.worker();
    await badge(job, 'active');
    await job.locator('.answer.writing', { hasText: 'a red' }).waitFor();
    await row.getByText('active').waitFor();
    await tile(overview, 'active', 1);
    await overview.locator('.running', { hasText: 'clip.mp4' }).waitFor();

    writeFileSync(gate, '');
    await badge(job, 'completed');
    await job.locator('.answer', { hasText: 'a red kite' }).waitFor();
    await row.getByText('completed').waitFor();
    await row.getByText('a red kite').waitFor();
    await tile(overview, 'completed', 1);
    await tile(overview, 'active', 0);
    for (const page of [list, overview, job]) expect(await page.evaluate('window.isFirst')).toBe(true);
  });

  it('is followed to the end of its text, for as long as that is in sight', async () => {
    const id = await ask(bench.video('clip.mp4', { wait: true }));
    await bench.worker();
    const page = await browser.open(`${dashboard.url}jobs/${id}`);
    await badge(page, 'active');
    const client = patientClient(redis.connection);
    const { prefix, queue } = bench.settings;
    const writer = new TextWriter(client, keysOf(prefix, queue), id, 1);
    const write = async (name: string, lines: number) => {
      const text = Array.from({ length: lines }, (_, i) => `${name} ${i}\n`).join('');
      await until(async () => (await writer.write([{ question: 0, text }])) === 'heard');
      await page.locator('.answer.writing', { hasText: `${name} ${lines - 1}` }).waitFor();
    };
    const end = () =>
      page.evaluate<number>(
        "document.querySelector('.writing').getBoundingClientRect().bottom - innerHeight",
      );
    await write('first', 2);
    expect(await page.evaluate('scrollY')).toBe(0);
    await write('second', 100);
    expect(Math.abs(await end())).toBeLessThan(2);
    await page.evaluate('scrollTo(0, 40)');
    await write('third', 100);
    expect(await page.evaluate('scrollY')).toBe(40);
    client.disconnect();
    await bench.client.cancel(id);
    await badge(page, 'cancelled');
  });

  it('waits for the queue to be resumed where that is paused', async () => {
    const id = await ask(bench.video('clip.mp4', { text: 'a red kite' }));
    const { prefix, queue: name } = bench.settings;
    const queue = new Queue(name, { connection: patientOptions(redis.connection), prefix });
    await queue.pause();
    const page = await browser.open(`${dashboard.url}jobs/${id}`);
    await page.getByText('The queue is paused: it waits until that is resumed.').waitFor();
    await queue.resume();
    await page.getByText('It waits for a worker.').waitFor();
    await queue.close();
  });

  it('tells of jobs that came in since a list was read', async () => {
    await ask(bench.video('old.mp4'));
    const page = await browser.open(`${dashboard.url}jobs`);
    await page.getByText('old.mp4').waitFor();
    await ask(bench.video('new.mp4'));
    await page.getByText('1 job came in since this list was read.').waitFor();
    expect(await page.getByText('new.mp4').count()).toBe(0);
    await press(page, 'Read it again');
    await page.getByText('new.mp4').waitFor();
  });

  it('is cancelled while it waits, and while it runs', async () => {
    const id = await ask(bench.video('waits.mp4', { text: 'never' }));
    const page = await browser.open(`${dashboard.url}jobs/${id}`);
    await press(page, 'Cancel');
    await page.getByText('The job is cancelled.').waitFor();
    await badge(page, 'cancelled');
    const running = await ask(bench.video('runs.mp4', { wait: true }));
    await bench.worker();
    await page.goto(`${dashboard.url}jobs/${running}`);
    await badge(page, 'active');
    await press(page, 'Cancel');
    await badge(page, 'cancelled');
    await page.getByRole('heading', { name: 'Cancelled' }).waitFor();
    expect(await bench.client.result(running)).toMatchObject({ status: 'cancelled' });
    expect(await page.getByRole('button', { name: 'Cancel' }).count()).toBe(0);
  });

  it('shows an answer once, though the queue still calls its job active', async () => {
    const id = await ask(bench.video('clip.mp4', { text: 'a red kite' }));
    await bench.worker();
    await bench.client.wait(id);
    const page = await browser.open(dashboard.url);
    await page.route(`**/api/jobs/${id}`, async (route) => {
      const response = await route.fetch();
      const detail = (await response.json()) as JobDetail;
      const row = { ...detail.row, state: 'active', finishedAt: null };
      await route.fulfill({ response, json: { ...detail, row } });
    });
    await page.goto(`${dashboard.url}jobs/${id}`);
    await badge(page, 'active');
    await page.locator('.answer', { hasText: 'a red kite' }).waitFor();
    expect(await page.getByRole('heading', { name: 'Under way' }).count()).toBe(0);
  });

  it('is tried again after it failed', async () => {
    const id = await ask(bench.video('clip.mp4', { fail: 'no such moon', input: true }, { text: 'a moon' }));
    await bench.worker();
    const page = await browser.open(`${dashboard.url}jobs/${id}`);
    await page.locator('.error-text', { hasText: 'no such moon' }).waitFor();
    await press(page, 'Retry');
    await badge(page, 'completed');
    expect(await page.getByText('The job is back in the queue.').count()).toBe(0);
    await page.locator('.answer', { hasText: 'a moon' }).waitFor();
    expect(await page.locator('.error-text').count()).toBe(0);
  });

  it('is tried again together with all that a filter finds, once that is confirmed', async () => {
    const replies = [{ fail: 'no such moon', input: true }, { text: 'a moon' }];
    for (const name of ['a.mp4', 'b.mp4', 'c.mp4']) await ask(bench.video(name, ...replies));
    await ask(bench.video('well.mp4', { text: 'well' }));
    await bench.worker();
    const page = await browser.open(`${dashboard.url}`);
    await tile(page, 'failed', 3);
    await tile(page, 'completed', 1);
    await page.getByRole('link', { name: 'failed 3' }).click();
    await press(page, 'Retry these…');
    const dialog = page.getByRole('dialog', { name: 'Retry 3 jobs?' });
    await dialog.getByRole('button', { name: 'Leave it' }).click();
    await dialog.waitFor({ state: 'detached' });
    expect((await bench.client.status()).counts).toMatchObject({ failed: 3 });
    await press(page, 'Retry these…');
    await dialog.getByRole('button', { name: 'Retry 3 jobs' }).click();
    await page.getByText('3 of 3 jobs put back into the queue.').waitFor();
    await page.keyboard.press('Escape');
    await page.goto(dashboard.url);
    await tile(page, 'completed', 4);
    await tile(page, 'failed', 0);
  });

  it('says that Redis is away, and comes back by itself', async () => {
    await ask(bench.video('before.mp4'));
    // While it is away what is asked of it fails.
    const page = await browser.open(`${dashboard.url}jobs`, { expects: /^console: .*\b503\b/ });
    await page.getByText('before.mp4').waitFor();
    await page.evaluate('window.isFirst = true');
    await redis.stop();
    await page.getByText('Redis does not answer').waitFor();
    await page.getByRole('link', { name: 'before.mp4' }).click();
    await page.getByRole('alert').waitFor();
    await redis.start();
    await page.getByText('Redis does not answer').waitFor({ state: 'hidden' });
    await page.getByText('It waits for a worker.').waitFor();
    await page.getByRole('link', { name: 'Jobs', exact: true }).first().click();
    await page.getByText('before.mp4').waitFor();
    await ask(bench.video('after.mp4'));
    await page.getByText('1 job came in').or(page.getByText('after.mp4')).first().waitFor();
    expect(await page.evaluate('window.isFirst')).toBe(true);
    await until(async () => (await bench.client.status()).counts.waiting === 2);
  });
});
