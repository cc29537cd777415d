import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { defaultPrefix } from '../queues/options.js';
import type { Dashboard } from '../src/dashboard/server.js';
import { describeInBrowser, useBrowser } from './support/browser.js';
import { type RunningCli, startCli } from './support/cli.js';
import { FakeWorker } from './support/fake-worker.js';
import { showBench } from './support/night.js';
import { useRedis } from './support/redis.js';
import { Bench, longLock } from './support/worker.js';

const rows = 4;

describeInBrowser("the buttons of a dataset's page", () => {
  const redis = useRedis();
  let bench: Bench;
  let dashboard: Dashboard;
  let worker: FakeWorker;
  /** Lets jobs end that were taken: all of them, or as many. */
  let release: (count?: number) => void;

  beforeEach(async () => {
    bench = new Bench(redis.home, redis.connection, { ...longLock, prefix: defaultPrefix });
    dashboard = await showBench(bench, redis);
    const waiting: (() => void)[] = [];
    let released = 0;
    release = (count = Number.POSITIVE_INFINITY) => {
      released += count;
      for (; released > 0 && waiting.length > 0; released -= 1) waiting.shift()!();
    };
    worker = new FakeWorker(redis.connection, bench.settings.queue, () => ({
      answers: ['a kite'],
      until: () => new Promise<void>((resolve) => (released > 0 ? resolve() : waiting.push(resolve))),
    }));
  });
  afterEach(async () => {
    release();
    await worker.close();
    await dashboard.close();
    await bench.close();
  });
  // Behind the others: its pages are closed before what they show.
  const browser = useBrowser();

  /** A batch whose first job is under way, and its page. */
  async function begin(): Promise<{ run: RunningCli; page: Page }> {
    const path = join(bench.dir, 'night.jsonl');
    const lines = Array.from({ length: rows }, (_, i) =>
      JSON.stringify({ video: `${i}.mp4`, question: 'q' }),
    );
    writeFileSync(path, lines.join('\n'));
    const args = ['--out', join(bench.dir, 'out.jsonl'), '--in-flight', '1', '--run-id', 'one'];
    const env = { VISIONZIP_HOME: redis.home, VISIONZIP_QUEUE: bench.settings.queue };
    const run = startCli(['batch', path, ...args], env);
    await worker.took(1);
    const page = await browser.open(`${dashboard.url}datasets`);
    await page.getByRole('link', { name: 'night.jsonl' }).click();
    await badge(page, 'running');
    return { run, page };
  }

  const badge = (page: Page, state: string) => page.locator('.badge', { hasText: state }).waitFor();
  const press = (page: Page, name: string) => page.getByRole('button', { name, exact: true }).click();
  const names = (page: Page) => page.locator('.dataset button').allInnerTexts();

  it('let it take no more rows, and go on', async () => {
    const { run, page } = await begin();
    await press(page, 'Pause');
    await page.getByText('told to pause').waitFor();
    await run.stderrHas('paused: no more rows are taken for now');
    await badge(page, 'paused');
    expect([await names(page), await page.getByText('told to').count()]).toEqual([['Resume', 'Stop…'], 0]);
    release(1);
    await page.getByText(`1 of ${rows} rows`).first().waitFor();
    expect(worker.jobs).toHaveLength(1);
    await press(page, 'Resume');
    await badge(page, 'running');
    await worker.took(2);
    release();
    await badge(page, 'done');
    await page.getByText(`${rows} of ${rows} rows`).first().waitFor();
    expect([(await run.ended).code, await names(page)]).toEqual([0, []]);
  });

  it('let it end with what it has asked', async () => {
    const { run, page } = await begin();
    await press(page, 'Drain');
    await run.stderrHas('draining: no more rows are taken');
    await badge(page, 'draining');
    expect(await names(page)).toEqual(['Stop…']);
    release();
    await badge(page, 'stopped');
    await page.getByText(`1 of ${rows} rows`).first().waitFor();
    expect([(await run.ended).code, worker.jobs.length]).toEqual([130, 1]);
  });

  it('stop it, once that is confirmed', async () => {
    const { run, page } = await begin();
    await press(page, 'Stop…');
    const dialog = page.getByRole('dialog', { name: 'Stop night.jsonl?' });
    await dialog.getByRole('button', { name: 'Leave it' }).click();
    await dialog.waitFor({ state: 'detached' });
    expect(await bench.client.run('one')).toMatchObject({ state: 'running' });
    await press(page, 'Stop…');
    await dialog.getByRole('button', { name: 'Stop it' }).click();
    await badge(page, 'stopped');
    expect(await dialog.count()).toBe(0);
    const { code, stderr } = await run.ended;
    expect([code, stderr]).toEqual([130, expect.stringContaining('stopped by `visionzip runs stop`')]);
    expect(worker.jobs).toHaveLength(1);
  });
});
