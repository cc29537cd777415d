import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { expect, it } from 'vitest';
import type { Result, Sight } from '../queues/index.js';
import { describeInBrowser, seriousFindings, useBrowser } from './support/browser.js';
import { useNight } from './support/night.js';
import { useRedis } from './support/redis.js';
import { until } from './support/script.js';

describeInBrowser('the dashboard of a night in a browser', () => {
  const redis = useRedis();
  const night = useNight(redis);
  const browser = useBrowser();

  /** Each page of ours, with what must be there once all of it is read. */
  const pages = (): [path: string, heading: string, shown: string][] => [
    ['', 'Overview', 'waits for a job'],
    ['jobs', 'Jobs', '63 jobs'],
    ['errors', 'Errors', '57 failures of 2 kinds'],
    [`jobs/${night.jobs.seen}`, 'What colour is it? moving.mp4', '0.0 s'],
    [`jobs/${night.jobs.broken}`, 'What is broken? broken.mp4', 'Why it failed'],
    [`jobs/${night.jobs.cancelled}`, 'Which was cancelled? moving.mp4', 'cancelled'],
    [`compare?from=${night.jobs.seen}`, 'Compare compression', 'Ask three times'],
    [
      `versus?a=${night.jobs.seen}&b=${night.jobs.again}`,
      'Two jobs side by side',
      '9.6 × more visual tokens.',
    ],
    ['datasets', 'Datasets', '3 of 3 rows · 1 failed'],
    [`datasets/${night.dataset}`, 'rows.jsonl', '3 of 3 rows · 1 failed'],
    ['health', 'Health', '1 worker of the version'],
  ];

  async function visit(page: Page, path: string, heading: string, shown: string): Promise<void> {
    await page.goto(night.url + path);
    await page.getByRole('heading', { name: heading, level: 1 }).waitFor();
    await page.locator('main').getByText(shown).first().waitFor();
  }

  async function documentOf(id: string): Promise<Result> {
    return (await night.bench.client.result(id)) as Result;
  }

  it('shows each page, in light and dark, without a fault that axe calls serious', async () => {
    const page = await browser.open(night.url);
    const findings: string[] = [];
    for (const [path, heading, shown] of pages()) {
      await visit(page, path, heading, shown);
      const colours: unknown[] = [];
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme });
        colours.push(await page.evaluate('getComputedStyle(document.documentElement).backgroundColor'));
        findings.push(...(await seriousFindings(page)).map((text) => `${path} ${colorScheme}: ${text}`));
      }
      expect(new Set(colours).size).toBe(2);
    }
    expect(findings).toEqual([]);
  });

  it('fits a narrow screen, where the menu leads to all pages', async () => {
    const page = await browser.open(night.url, { viewport: { width: 360, height: 740 }, hasTouch: true });
    for (const [path, heading, shown] of pages()) {
      await visit(page, path, heading, shown);
      const [width, room] = await page.evaluate<[number, number]>(
        '[document.scrollingElement.scrollWidth, innerWidth]',
      );
      expect([path, width]).toEqual([path, Math.min(width, room)]);
    }
    for (const name of ['Overview', 'Jobs', 'Errors', 'Datasets', 'Compare', 'Health']) {
      await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name }).tap();
      await page.getByRole('heading', { level: 1, name }).waitFor();
    }
  });

  it('says so where there is no such page, or no such job', async () => {
    const page = await browser.open(`${night.url}nowhere`, { expects: /^console: .*\b404\b/ });
    await page.getByRole('heading', { name: 'There is no such page' }).waitFor();
    await page.goto(`${night.url}jobs/none`);
    await page.getByRole('heading', { name: 'There is no such job' }).waitFor();
  });

  it('has bull-board, which loads nothing from elsewhere', async () => {
    // Its font would come from elsewhere: the browser does not ask for it.
    const page = await browser.open(`${night.url}queues`, { expects: /fonts\.googleapis\.com/ });
    await page.getByText(night.bench.settings.queue).first().waitFor();
    await page.goto(`${night.url}queues/queue/${night.bench.settings.queue}/${night.jobs.seen}`);
    await page.getByText('Result').first().waitFor();
  });

  it('gives a page of a job to send, which needs nothing else', async () => {
    const page = await browser.open(`${night.url}jobs/${night.jobs.seen}`);
    const download = page.waitForEvent('download');
    await page.getByRole('link', { name: 'Page to send' }).click();
    const file = join(night.bench.dir, 'sent.html');
    await (await download).saveAs(file);
    const alone = await browser.open(`file://${file}`);
    await alone.getByText('a circle').waitFor();
    expect(await alone.locator('figure').count()).toBe((await documentOf(night.jobs.seen)).frames.length);
  });

  it('finds jobs by video, question, answer and error, and the address holds what is wanted', async () => {
    const page = await browser.open(night.url);
    const results = page.locator('.job-list > li');
    const found = (count: number) => page.getByRole('status').getByText(`${count} job`).waitFor();
    await page.locator('body').press('/');
    await page.keyboard.type('gone-17.mp4');
    await page.keyboard.press('Enter');
    await found(1);
    expect(await results.allInnerTexts()).toEqual([expect.stringContaining('gone-17.mp4')]);
    expect(new URL(page.url()).search).toBe('?text=gone-17.mp4');

    await page.getByRole('link', { name: 'All jobs' }).click();
    await found(63);
    await page.getByText('More conditions').click();
    await page.getByLabel('Question', { exact: true }).fill('cancelled?');
    await page.getByRole('button', { name: 'Show' }).click();
    await found(1);
    expect(new URL(page.url()).searchParams.get('question')).toBe('cancelled?');

    const { answer } = (await documentOf(night.jobs.seen)).answers[0]!;
    await page.goto(`${night.url}jobs?${new URLSearchParams({ answer, video: 'moving' })}`);
    await page.getByRole('link', { name: 'moving.mp4 What colour is it?' }).first().waitFor();
    expect(await page.getByLabel('Answer', { exact: true }).inputValue()).toBe(answer);
    for (const text of await results.allInnerTexts()) expect(text).toContain('moving.mp4');
  });

  it('leads from a kind of error to its jobs, page by page', async () => {
    const page = await browser.open(`${night.url}errors`);
    await page
      .getByRole('listitem')
      .filter({ hasText: '55 jobs' })
      .getByRole('link', { name: 'Show these' })
      .click();
    await page.getByRole('status').getByText('55 jobs').waitFor();
    expect(new URL(page.url()).searchParams.getAll('state')).toEqual(['failed']);
    expect(new URL(page.url()).searchParams.get('errorClass')).toContain('does not exist');
    expect(await page.locator('.job-list > li').count()).toBe(50);
    await page.getByRole('link', { name: 'Further' }).click();
    await page.getByText('51–55 of 55').waitFor();
    await page.reload();
    await page.getByText('51–55 of 55').waitFor();
    expect(await page.locator('.job-list > li').count()).toBe(5);
    await page.goBack();
    await page.getByText('1–50 of 55').waitFor();
  });

  it('shows what the model saw, patch by patch, in step with the video', async () => {
    const path = `jobs/${night.jobs.seen}`;
    const page = await browser.open(night.url + path);
    const sight = (await (await fetch(`${night.url}api/${path}/sight`)).json()) as Sight;
    const { frames } = await documentOf(night.jobs.seen);
    const strip = page.getByRole('list', { name: 'Frames' }).getByRole('listitem');
    await strip.first().waitFor();
    expect([await strip.count(), sight.frames.length]).toEqual([frames.length, frames.length]);

    const { grid, contextual } = sight.frames[0]!;
    const merged = contextual.find((patches) => patches.length > 1)!;
    const said = `A contextual token: ${merged.length} patches, merged into the one in row`;
    const patches = page.locator('.frame-view svg.patches');
    const box = (await patches.boundingBox())!;
    const x = ((merged[1]! % grid.columns) + 0.5) * (box.width / grid.columns);
    const y = (Math.floor(merged[1]! / grid.columns) + 0.5) * (box.height / grid.rows);
    await patches.hover({ position: { x, y } });
    await page.getByText(said).waitFor();
    // The path of whole cells is as large as the patches are many.
    const area = await page.evaluate<number>(areaOf('.patch-together'));
    expect(area).toBe(merged.length);
    await page.mouse.move(0, 0);
    await page.locator('.patch-together').waitFor({ state: 'detached' });
    await page.getByText('All tokens of this frame').click();
    await page
      .getByRole('button', { name: `contextual × ${merged.length} ` })
      .first()
      .focus();
    await page.locator('.patch-together').waitFor({ state: 'attached' });
    await page.getByText(said).waitFor();

    const seconds = () => page.evaluate<number>("document.querySelector('video').currentTime");
    await until(() => page.evaluate<boolean>("document.querySelector('video').readyState > 0"));
    await strip.nth(5).getByRole('button').click();
    await until(async () => Math.abs((await seconds()) - frames[5]!.ptsSeconds) < 0.01);
    expect(await strip.nth(5).getByRole('button').getAttribute('aria-pressed')).toBe('true');
  });

  it('marks frames that show what another one shows', async () => {
    const page = await browser.open(`${night.url}jobs/${night.jobs.still}`);
    const strip = page.getByRole('list', { name: 'Frames' }).getByRole('listitem');
    await strip.first().waitFor();
    const { frames } = await documentOf(night.jobs.still);
    const again = frames.filter(({ sameAs }) => sameAs !== undefined).length;
    expect(again).toBeGreaterThan(0);
    expect(await strip.filter({ hasText: 'shows the same as' }).count()).toBe(again);
  });

  it('is used with the keyboard alone, and shows where that is', async () => {
    const page = await browser.open(`${night.url}jobs?state=failed`);
    await page.getByRole('status').getByText('57 jobs').waitFor();
    const reached: string[] = [];
    for (let i = 0; i < 40; i++) {
      await page.keyboard.press('Tab');
      const [name, isMarked] = await page.evaluate<[string, boolean]>(focusedElement);
      expect([name, isMarked]).toEqual([name, true]);
      reached.push(name);
    }
    expect(reached[0]).toBe('Skip to the content');
    const wanted = ['Overview', 'Errors', 'Health', 'bull-board', 'Retry these…', 'failed', 'Any words'];
    expect(reached).toEqual(expect.arrayContaining(wanted));
    expect(reached.some((name) => /\.mp4 What/.test(name))).toBe(true);
    await page.locator('main').press('/');
    expect((await page.evaluate<[string]>(focusedElement))[0]).toContain('Search jobs');
  });

  // What follows asks something: it stands behind what counts jobs.

  it('asks the video of a job something else, whose answer comes by itself', async () => {
    const page = await browser.open(`${night.url}jobs/${night.jobs.seen}`);
    await page.getByLabel('Question', { exact: true }).fill('Is anything red?');
    await page.getByRole('button', { name: 'Ask', exact: true }).click();
    const reply = page.getByRole('listitem').filter({ hasText: 'Is anything red?' });
    await reply.getByRole('link', { name: 'Show this job', exact: true }).waitFor();
    const shown = await reply.locator('.answer').textContent();
    await reply.getByRole('link').click();
    await page.getByRole('heading', { level: 1, name: 'Is anything red?' }).waitFor();
    const document = await documentOf(page.url().split('/').at(-1)!);
    expect(document).toMatchObject({ status: 'completed', reused: 'prefix' });
    expect(shown).toContain(document.answers[0]!.answer || 'nothing');
  });

  it('compares three compressions of one question', async () => {
    const page = await browser.open(`${night.url}jobs/${night.jobs.still}`);
    await page.getByRole('link', { name: 'Compare compression' }).click();
    await page.getByLabel('dominant').fill('3');
    await page.getByRole('button', { name: 'Ask three times' }).click();
    const ended = page.getByRole('link', { name: 'Show the job' });
    await until(
      async () =>
        (await ended.count()) === 3 &&
        (await page.getByText('Time in the worker', { exact: true }).count()) === 3,
    );
    const query = new URL(page.url()).searchParams;
    const tokens = async (column: string) => (await documentOf(query.get(column)!)).tokens.after;
    const [none, auto, other] = [await tokens('none'), await tokens('auto'), await tokens('other')];
    expect(none).toBeGreaterThan(auto);
    expect(auto).toBeGreaterThan(other);
    for (const count of [none, auto, other])
      await page
        .getByRole('definition')
        .filter({ hasText: `${count.toLocaleString('en-US')} of` })
        .first()
        .waitFor();
    await page.reload();
    await until(async () => (await page.getByText('Time in the worker', { exact: true }).count()) === 3);
  });
});

/** Of a path made of whole cells, one unit high: the sum of their lengths. */
function areaOf(selector: string): string {
  return `[...document.querySelector('${selector}').getAttribute('d').matchAll(/h(\\d+)v1/g)]
    .reduce((sum, [, length]) => sum + Number(length), 0)`;
}

/** What has the focus by its name, and whether one can see that it has. */
const focusedElement = `(() => {
  const focused = document.activeElement;
  const marked = [focused, focused.nextElementSibling].filter(Boolean).map((element) => getComputedStyle(element));
  const label = focused.getAttribute('aria-label') ?? focused.labels?.[0]?.innerText ?? focused.innerText;
  return [label.trim(), marked.some(({ outlineStyle, outlineWidth }) => outlineStyle !== 'none' && outlineWidth !== '0px')];
})()`;
