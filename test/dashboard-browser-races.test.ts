import type { Page, Route } from 'playwright-core';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Dashboard } from '../src/dashboard/server.js';
import type { Credential } from '../src/settings.js';
import { describeInBrowser, useBrowser } from './support/browser.js';
import { showBench } from './support/night.js';
import { useRedis } from './support/redis.js';
import { until } from './support/script.js';
import { Bench, longLock } from './support/worker.js';

describeInBrowser('pages between a reading and what is told meanwhile', () => {
  const redis = useRedis();
  let bench: Bench;
  let dashboard: Dashboard;

  beforeEach(async () => {
    await redis.start();
    bench = new Bench(redis.home, redis.connection, longLock);
    dashboard = await showBench(bench, redis);
  });
  afterEach(async () => {
    await dashboard.close();
    await bench.close();
  });
  // Behind the others: its pages are closed before what they show.
  const browser = useBrowser();

  const ask = (video: string) => bench.client.ask({ video, questions: 'what?' });

  /** How many jobs are in a state, as the dashboard has it. */
  async function readJobs(state: string): Promise<number> {
    const response = await fetch(`${dashboard.url}api/jobs?state=${state}`);
    return ((await response.json()) as { total: number }).total;
  }

  /** Reads at once what is asked for, and lets the page have it once it is released; what is asked for later it has at once. */
  async function hold(page: Page, pattern: string) {
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    let held = 0;
    await page.route(pattern, async (route: Route) => {
      const response = await route.fetch();
      held += 1;
      await released;
      await route.fulfill({ response }).catch(() => {}); // The page does not want it any more.
    });
    return { release, isHeld: () => held > 0 };
  }

  /** A page that hears of jobs, on which `path` is then opened by a click. */
  async function openFrom(path: string, link: string, pattern: string) {
    const page = await browser.open(`${dashboard.url}${path}`);
    await page.getByRole('link', { name: link }).first().waitFor();
    const held = await hold(page, pattern);
    await page.getByRole('link', { name: link }).first().click();
    await until(held.isHeld);
    return { page, held };
  }

  it('show a job that was begun while its page was read as active', async () => {
    const id = await ask(bench.video('clip.mp4', { wait: true }));
    const { page, held } = await openFrom('jobs', 'clip.mp4', `**/api/jobs/${id}`);
    await bench.worker();
    await until(async () => (await readJobs('active')) === 1);
    // What was told is on its way to the page for a tenth of a second more.
    await page.waitForTimeout(500);
    held.release();
    await page.locator('.head-line .badge', { hasText: 'active' }).waitFor();
    await bench.client.cancel(id);
    await page.locator('.head-line .badge', { hasText: 'cancelled' }).waitFor();
  });

  it('show a row that ended while the list was read as ended, and count no job that stands in it as new', async () => {
    const id = await ask(bench.video('clip.mp4', { text: 'a red kite' }));
    const { page, held } = await openFrom('health', 'Jobs', '**/api/jobs?*');
    await bench.worker();
    await bench.client.wait(id);
    await until(async () => (await readJobs('completed')) === 1);
    await page.waitForTimeout(500);
    held.release();
    const row = page.locator('.job-row', { hasText: 'clip.mp4' });
    await row.getByText('a red kite').waitFor();
    await row.getByText('completed').waitFor();
    expect(await page.getByText('came in since this list was read').count()).toBe(0);
  });

  it('show datasets, however long they take to be read', async () => {
    const page = await browser.open(dashboard.url);
    await page.route('**/api/datasets', async (route) => {
      const response = await route.fetch();
      await page.waitForTimeout(3_500);
      await route.fulfill({ response }).catch(() => {});
    });
    await page.getByRole('link', { name: 'Datasets' }).click();
    await page.getByText('No dataset has been run yet').waitFor();
  });

  it('say no more that Redis is away, and write, once they listen to a dashboard that was started anew', async () => {
    const id = await ask(bench.video('clip.mp4'));
    const page = await browser.open(`${dashboard.url}jobs/${id}`, {
      expects: /\b50[0-9]\b|ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING/,
    });
    await page.getByRole('button', { name: 'Cancel' }).waitFor();
    await redis.stop();
    await page.getByText('Redis does not answer').waitFor();
    await dashboard.close();
    await redis.start();
    await page.getByText('connection to the dashboard is lost').waitFor();
    dashboard = await showBench(bench, redis, {}, { port: Number(new URL(dashboard.url).port) });
    await page.getByText('connection to the dashboard is lost').waitFor({ state: 'hidden' });
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.locator('.head-line .badge', { hasText: 'cancelled' }).waitFor();
    expect(await page.getByText('Redis does not answer').count()).toBe(0);
  });

  it('lead to the login where a dashboard that was started anew has forgotten who looks', async () => {
    await dashboard.close();
    const credential: Credential = { scheme: 'bearer', token: 'abcdefgh.1234' };
    dashboard = await showBench(bench, redis, { credential });
    const page = await browser.open(dashboard.url, { expects: /\b401\b|ERR_/ });
    await page.getByLabel('Token').fill(credential.token);
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
    await dashboard.close();
    const port = Number(new URL(dashboard.url).port);
    dashboard = await showBench(bench, redis, { credential }, { port });
    await page.getByLabel('Token').waitFor();
  });

  it('ask as often as one likes, though nobody answers yet, and listen only while they are looked at', async () => {
    const id = await ask(bench.video('clip.mp4', ...Array(9).fill({ text: 'a kite' })));
    const page = await browser.open(`${dashboard.url}jobs/${id}`);
    const streams = new Set<string>();
    page.on('request', (request) => request.url().endsWith('/stream') && streams.add(request.url()));
    page.on('requestfailed', (request) => streams.delete(request.url()));
    for (let i = 0; i < 8; i++) {
      await page.getByPlaceholder('What happens at the end?').fill(`what else ${i}?`);
      await page.getByRole('button', { name: 'Ask', exact: true }).click();
      await page.locator('.answers .question', { hasText: `what else ${i}?` }).waitFor();
    }
    const look = (isHidden: boolean) =>
      page.evaluate(`Object.defineProperty(document, 'hidden', { configurable: true, value: ${isHidden} });
        document.dispatchEvent(new Event('visibilitychange'))`);
    await look(true);
    await until(() => streams.size === 0);
    await look(false);
    await bench.worker();
    await page.locator('.answers .answer', { hasText: 'a kite' }).nth(8).waitFor();
    expect(await page.getByText('which is under way').count()).toBe(0);
  });
});
