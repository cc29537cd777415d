import type { Page } from 'playwright-core';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Dashboard } from '../src/dashboard/server.js';
import type { Credential, DashboardSettings } from '../src/settings.js';
import { describeInBrowser, seriousFindings, useBrowser } from './support/browser.js';
import { showBench } from './support/night.js';
import { useRedis } from './support/redis.js';
import { until } from './support/script.js';
import { Bench, longLock } from './support/worker.js';

const basic: Credential = { scheme: 'basic', user: 'ada', password: 'lovelace:1815' };
const script = '<script>window.hit = 1</script>';
const picture = '<img src=x onerror="window.hit=1">';

describeInBrowser('who and what the dashboard in a browser is safe from', () => {
  const redis = useRedis();
  let bench: Bench;
  let dashboards: Dashboard[];

  beforeEach(() => {
    bench = new Bench(redis.home, redis.connection, longLock);
    dashboards = [];
  });
  afterEach(async () => {
    await Promise.all(dashboards.map((dashboard) => dashboard.close()));
    await bench.close();
  });
  // Behind the others: its pages are closed before what they show.
  const browser = useBrowser();

  async function start(access: Partial<DashboardSettings> = {}): Promise<string> {
    const dashboard = await showBench(bench, redis, access);
    dashboards.push(dashboard);
    return dashboard.url;
  }

  async function logIn(page: Page, password: string): Promise<void> {
    await page.getByLabel('User').fill('ada');
    await page.getByLabel('Password').fill(password);
    await page.getByRole('button', { name: 'Log in' }).click();
  }

  it('lets in whoever knows the password, to the page that was wanted, and out again', async () => {
    const url = await start({ credential: basic, base: '/deep/down' });
    const page = await browser.open(`${url}jobs?state=failed`, { expects: /^console: .*\b401\b/ });
    await logIn(page, 'lovelace');
    await page.getByRole('alert').waitFor();
    expect(new URL(page.url()).pathname).toBe('/deep/down/login');
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      expect([colorScheme, await seriousFindings(page)]).toEqual([colorScheme, []]);
    }
    await logIn(page, basic.password);
    await page.getByRole('heading', { name: 'Jobs', level: 1 }).waitFor();
    expect(page.url()).toBe(`${url}jobs?state=failed`);
    await page.getByRole('button', { name: 'Log out' }).click();
    await page.getByLabel('Password').waitFor();
    await page.goto(url);
    expect(new URL(page.url()).pathname).toBe('/deep/down/login');
  });

  it('takes whoever is logged out while a page is open to the login', async () => {
    const page = await browser.open(await start({ credential: basic }), { expects: /^console: .*\b401\b/ });
    await logIn(page, basic.password);
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
    await page.context().clearCookies();
    await page.getByRole('link', { name: 'Health' }).click();
    await page.getByLabel('Password').waitFor();
    await logIn(page, basic.password);
    await page.getByRole('heading', { name: 'Health', level: 1 }).waitFor();
  });

  it('shows no button that changes something where it is read-only', async () => {
    const id = await bench.client.ask({ video: bench.video('clip.mp4'), questions: 'what?' });
    const buttons = /Cancel|Retry|Ask/;
    for (const isReadOnly of [false, true]) {
      const url = await start({ isReadOnly });
      const page = await browser.open(`${url}jobs/${id}`);
      await page.getByRole('heading', { name: 'what? clip.mp4' }).waitFor();
      const counts = [await page.getByRole('button', { name: buttons }).count()];
      await page.goto(`${url}jobs`);
      await page.getByText('clip.mp4').waitFor();
      counts.push(await page.getByRole('button', { name: buttons }).count());
      await page.goto(`${url}compare`);
      await page.getByRole('heading', { name: 'Compare compression' }).waitFor();
      counts.push(await page.getByRole('button', { name: buttons }).count());
      expect([isReadOnly, counts]).toEqual([isReadOnly, isReadOnly ? [0, 0, 0] : [2, 2, 1]]);
      expect(await page.getByText('read-only', { exact: true }).count()).toBe(isReadOnly ? 1 : 0);
    }
  });

  it('works below a base path, bull-board and links included', async () => {
    const id = await bench.client.ask({ video: bench.video('clip.mp4'), questions: 'what?' });
    const url = await start({ base: '/deep/down' });
    const page = await browser.open(url.slice(0, -1), { expects: /fonts\.googleapis\.com/ });
    await page.getByRole('link', { name: 'waiting 1' }).click();
    await page.getByRole('link', { name: 'clip.mp4 what?' }).click();
    await page.getByText('It waits for a worker.').waitFor();
    expect(page.url()).toBe(`${url}jobs/${id}`);
    await page.reload();
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.getByText('The job is cancelled.').waitFor();
    await page.goBack();
    await page.getByRole('heading', { name: 'Jobs', level: 1 }).waitFor();
    await page.getByRole('link', { name: 'bull-board' }).click();
    await page.getByText(bench.settings.queue).first().waitFor();
    expect(page.url().startsWith(`${url}queues`)).toBe(true);
  });

  it('shows hostile texts as what they are, and runs nothing', async () => {
    const video = bench.video(`${picture}.mp4`, { text: picture });
    const questions = [{ question: `"><${script}`, options: [picture, script] }, script];
    const asked = { video, questions, tags: { shift: script, run: picture } };
    const well = await bench.client.ask({ ...asked, questions: script });
    const bad = bench.video(`"><script>window.hit=1<.mp4`, { fail: picture, input: true });
    const failed = await bench.client.ask({ ...asked, video: bad, questions: script });
    const odd = await bench.client.ask(asked);
    await bench.worker();
    const url = await start();
    await until(
      async () => (await bench.client.result(well)) !== null && (await bench.client.result(odd)) !== null,
    );
    // Of the dataset that is none, and the board's font.
    const page = await browser.open(`${url}jobs`, {
      expects: /\b404\b.*\/datasets\/|fonts\.googleapis\.com/,
    });
    const queue = `queues/queue/${bench.settings.queue}`;
    for (const [path, shown] of [
      ['jobs', picture],
      [`jobs?${new URLSearchParams({ text: picture, dataset: picture })}`, picture],
      [`jobs/${well}`, `${script} ${picture}.mp4`],
      [`jobs/${odd}`, `"><${script}`],
      [`jobs/${failed}`, picture],
      ['errors', picture],
      [`compare?from=${well}`, 'Compare'],
      [`versus?a=${well}&b=${odd}`, script],
      [`datasets/${encodeURIComponent(picture)}`, 'There is no such dataset'],
      [`api/jobs/${well}/page`, script],
      [`${queue}?status=completed`, picture],
      [`${queue}/${well}`, picture],
    ] as const) {
      await page.goto(url + path);
      await page.getByText(shown).filter({ visible: true }).first().waitFor();
      expect([
        path,
        await page.evaluate('window.hit ?? document.querySelectorAll("[onerror]").length'),
      ]).toEqual([path, 0]);
    }
  });

  it('lets a sign that turns writing around turn nothing but the text that it stands in', async () => {
    const turning = { video: bench.video('a\u202egpj.mp4'), questions: 'what is it?' };
    await bench.client.ask(turning);
    const id = await bench.client.ask({ video: bench.video('clip.mp4'), questions: 'a\u202egnp.exe' });
    const url = await start();
    const page = await browser.open(`${url}jobs`);
    const goesRight = (selector: string, text: string) =>
      page
        .locator(selector, { hasText: text })
        .first()
        .evaluate((element) => {
          const leftOf = (place: number) => {
            const range = element.ownerDocument.createRange();
            range.setStart(element.firstChild!, place);
            range.setEnd(element.firstChild!, place + 1);
            return range.getBoundingClientRect().left;
          };
          return leftOf(0) < leftOf(4);
        });
    expect(await goesRight('.job-what a > span', 'what is it?')).toBe(true);
    await page.goto(`${url}jobs/${id}`);
    expect(await goesRight('h1 .of-video', 'clip.mp4')).toBe(true);
  });

  it('keeps its layout with words that have no end', async () => {
    const word = 'w'.repeat(2_000);
    const video = bench.video(`${'v'.repeat(200)}.mp4`, { text: word });
    const id = await bench.client.ask({
      video,
      questions: word,
      tags: { shift: word.slice(0, 200) },
    });
    const bad = bench.video(`${'b'.repeat(200)}.mp4`, { fail: word, input: true });
    const failed = await bench.client.ask({ video: bad, questions: word });
    await bench.worker();
    const url = await start();
    await until(
      async () => (await bench.client.result(id)) !== null && (await bench.client.result(failed)) !== null,
    );
    for (const width of [360, 1280]) {
      const page = await browser.open(url, { viewport: { width, height: 740 } });
      for (const path of [
        '',
        'jobs',
        `jobs/${id}`,
        `jobs/${failed}`,
        'errors',
        `versus?a=${id}&b=${failed}`,
        `compare?from=${id}`,
      ]) {
        await page.goto(url + path);
        await page.getByRole('heading', { level: 1 }).waitFor();
        if (path !== '' && !path.startsWith('compare'))
          await page.getByText(/w{50}/).filter({ visible: true }).first().waitFor();
        const inner = await page.evaluate<number>('document.scrollingElement.scrollWidth');
        expect([path, inner]).toEqual([path, Math.min(inner, width)]);
      }
    }
  });
});
