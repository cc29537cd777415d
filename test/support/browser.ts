import axe from 'axe-core';
import { type Browser, type BrowserContextOptions, chromium, type Page, type Request } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect } from 'vitest';
import { chromiumAdvice, chromiumArguments, findChromium } from '../../scripts/chromium.js';

const path = findChromium(process.env.CHROME_PATH);
const isRequired = process.env.VISIONZIP_TEST_BROWSER === 'required';
if (path === null && !isRequired) console.warn(`tests in a browser are skipped: ${chromiumAdvice}`);

/** Tests that need a browser: skipped where there is none, unless VISIONZIP_TEST_BROWSER is `required`. */
export function describeInBrowser(name: string, tests: () => void): void {
  describe.skipIf(path === null && !isRequired)(name, tests);
}

export interface OpenOptions extends BrowserContextOptions {
  /** Faults that are part of the test, as `kind: text`. */
  readonly expects?: RegExp;
}

/** A browser for the tests of one file. */
export interface TestBrowser {
  /** A page of a context of its own, closed after the test; what was wrong with it fails the test. */
  open(url: string, options?: OpenOptions): Promise<Page>;
}

export function useBrowser(): TestBrowser {
  let browser: Browser;
  let faults: string[] = [];
  let closes: (() => Promise<void>)[] = [];
  beforeAll(async () => {
    if (path === null) throw new Error(chromiumAdvice);
    browser = await chromium.launch({ executablePath: path, args: [...chromiumArguments] });
  });
  afterEach(async () => {
    const found = faults;
    await Promise.all(closes.map((close) => close()));
    [faults, closes] = [[], []];
    expect(found).toEqual([]);
  });
  afterAll(() => browser?.close());
  return {
    open: async (url, { expects, ...options } = {}) => {
      const context = await browser.newContext({
        locale: 'en-GB',
        viewport: { width: 1280, height: 800 },
        ...options,
      });
      context.setDefaultTimeout(60_000);
      closes.push(async () => {
        // What a test holds back may still be on its way.
        await Promise.all(context.pages().map((page) => page.unrouteAll({ behavior: 'ignoreErrors' })));
        await context.close();
      });
      const page = await context.newPage();
      const origin = new URL(url).origin;
      watchFor(page, origin, (fault) => expects?.test(fault) || faults.push(fault));
      await page.goto(url);
      return page;
    },
  };
}

/** Reports what a page must not do: errors, requests that fail, requests to others than its own server. */
function watchFor(page: Page, origin: string, report: (fault: string) => void): void {
  page.on('console', (message) => {
    if (message.type() === 'error') report(`console: ${message.text()} ${message.location().url}`);
  });
  page.on('pageerror', (error) => report(`page: ${error.stack}`));
  page.on('requestfailed', (request) => isGivenUp(request) || report(`failed: ${failureOf(request)}`));
  page.on('request', (request) => {
    const { protocol, origin: to } = new URL(request.url());
    if (!/^(data|blob):$/.test(protocol) && to !== origin) report(`foreign: ${request.url()}`);
  });
}

/** A page ends its streams, and what it no longer wants to read, by itself. */
function isGivenUp(request: Request): boolean {
  return request.failure()?.errorText === 'net::ERR_ABORTED';
}

function failureOf(request: Request): string {
  return `${request.url()} ${request.failure()?.errorText}`;
}

/** What axe calls serious or critical about a page as it stands. Its script comes by the browser's own door: the policy holds. */
export async function seriousFindings(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  return page.evaluate<string[]>(`axe.run(document).then(({ violations }) => violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => [id, html, failureSummary].join(' '))))`);
}
