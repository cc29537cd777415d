import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readRow } from '../src/batch/report/answered-row.js';
import { duration, points, probability } from '../src/batch/report/format.js';
import { html } from '../src/batch/report/html.js';
import { renderPage } from '../src/batch/report/page.js';
import { Quantiles } from '../src/batch/report/quantiles.js';
import { readJsonLines } from '../src/batch/report/read-lines.js';
import { makeReport } from '../src/batch/report/report.js';
import { Groups, Highest, otherGroups } from '../src/batch/report/tallies.js';
import { temporaryFolder } from './media.js';
import { cli, documentOf } from './support/cli.js';

const folder = temporaryFolder();
const cliMain = fileURLToPath(new URL('../dist/src/cli/main.js', import.meta.url));
const path = (name: string) => join(folder, name);

function write(name: string, rows: readonly object[], end = ''): string {
  writeFileSync(path(name), rows.map((row) => `${JSON.stringify(row)}\n`).join('') + end);
  return path(name);
}

const hostile = '<img src=x onerror="alert(1)"> & \u2028 it\'s </td>';

/** Of a job, as its rows say it when they are answered: the times so far. */
const run = (job: string, totalMs: number, encodeMs: number, more = {}) => ({
  ...{ job, model: { name: 'nano', digest: 'd', dtype: 'fp32' }, frames: 4, cached: false },
  tokens: { before: 2 * encodeMs, after: encodeMs / 5 },
  timings: { queueMs: 0, encodeMs, prefillMs: 10, totalMs },
  ...more,
});
const chosen = (index: number, likelihood: number) => ({
  choice: { letter: 'AB'[index], index, likelihoods: [1 - likelihood, likelihood] },
});
const options = ['red', 'blue'];
const completed = { status: 'completed' };
const answered = [
  { kind: 'count', category: 'x', answer: '2', prediction: 'Two.', run: run('1', 100, 60) },
  { kind: 'count', category: 'y', answer: 4, prediction: '3', run: run('1', 120, 60) },
  { kind: 'colour', options, answer: 'B', prediction: 'B', run: run('2', 200, 150, chosen(1, 0.9)) },
  { kind: 'colour', options, answer: 'red', prediction: 'B', run: run('2', 220, 150, chosen(1, 0.8)) },
  {
    kind: 'colour',
    options,
    answer: 0,
    prediction: 'B',
    run: run('3', 1, 0, { cached: true, ...chosen(1, 0.95) }),
  },
  { status: 'failed', prediction: null, error: '"a.mp4": 3 frames do not fit', fault: 'settings' },
  { status: 'failed', prediction: null, error: '"b.mp4": 12 frames do not fit', fault: 'settings' },
  { status: 'cancelled', prediction: null, error: 'cancelled' },
  { prediction: 'nobody knows' },
  { question: hostile, kind: 'colour', answer: true, prediction: 'Yes' },
].map((row, i) => ({
  ...{ video: `v${i > 3 ? i : i - (i % 2)}.mp4`, question: `question ${i}?`, ...completed, ...row },
  batch: { row: i, hash: `h${i}`, settings: 's' },
}));
const file = write('now.jsonl', answered, '\n{"video": "torn');

describe('the report', () => {
  it('counts rows, and scores those that can be scored', async () => {
    const report = await makeReport(file);
    expect(report.rows).toEqual({
      ...{ completed: 7, failed: 2, cancelled: 1, scored: 6, cached: 1, unreadable: 1 },
    });
    // Right are rows 0, 2 and 9. Wilson: 0.5 ± 1.960 / 1.6402 × √(0.25 / 6 + 3.8415 / 144) = 0.3124.
    expect(report.accuracy).toMatchObject({ right: 3, count: 6, value: 0.5 });
    expect(report.accuracy.low).toBeCloseTo(0.1876, 4);
    expect(report.accuracy.high).toBeCloseTo(0.8124, 4);
    expect(report.byKind.map(({ name, right, count }) => [name, right, count])).toEqual([
      ['colour', 2, 4],
      ['count', 1, 2],
    ]);
    expect(report.byCategory.map(({ name, right, count }) => [name, right, count])).toEqual([
      ['x', 1, 1],
      ['y', 0, 1],
    ]);
    expect(report).toMatchObject({ models: ['nano'], settings: 1 });
  });

  it('has means of tokens, and the times of each job once, as its last row says them', async () => {
    const { tokens, times, slowest } = await makeReport(file);
    // Five rows say their tokens: 120, 120, 300, 300 and 0 before, 12, 12, 30, 30 and 0 after.
    expect(tokens).toEqual({ rows: 5, frames: 4, before: 168, after: 16.8 });
    // Jobs 1 and 2 took 120 and 220 ms, 60 and 150 of it in the tower; job 3 was stored before.
    expect(times.jobs).toBe(2);
    const encode = { name: 'encodeMs', p50: 60, p90: 150, p99: 150, share: 210 / 340 };
    expect(times.stages).toContainEqual(encode);
    expect(times.stages).toContainEqual({ name: 'totalMs', p50: 120, p90: 220, p99: 220, share: 1 });
    expect(slowest).toEqual([
      {
        ...{ video: 'v2.mp4', question: 'question 2?', rows: 2, totalMs: 220 },
        longest: { name: 'encodeMs', ms: 150 },
      },
      {
        ...{ video: 'v0.mp4', question: 'question 0?', rows: 2, totalMs: 120 },
        longest: { name: 'encodeMs', ms: 60 },
      },
    ]);
  });

  it('puts failures together that differ in names and numbers, and the surest wrong answer first', async () => {
    const { failures, wrong } = await makeReport(file);
    expect(failures.map(({ fault, status, count, example }) => [fault, status, count, example.line])).toEqual(
      [
        ['settings', 'failed', 2, 6],
        [null, 'cancelled', 1, 8],
      ],
    );
    expect(failures[0]!.example.error).toBe('"a.mp4": 3 frames do not fit');
    expect(wrong.map(({ line, likelihood }) => [line, likelihood])).toEqual([
      [5, 0.95],
      [4, 0.8],
      [2, null],
    ]);
  });

  it('counts a row once of which an unfinished output has several lines', async () => {
    const line = (row: number, hash: string, status: string, prediction: string | null = null) => ({
      ...{ video: 'a.mp4', answer: 'a', status, prediction, error: status === 'failed' ? 'x' : undefined },
      batch: { row, hash, settings: 's' },
    });
    const unfinished = write('unfinished.jsonl', [
      line(0, 'h', 'failed'),
      line(1, 'h', 'failed'), // A row like the one before.
      line(2, 'i', 'failed'),
      line(3, 'j', 'completed', 'a'),
      line(2, 'i', 'cancelled'),
      line(0, 'h', 'completed', 'a'),
      line(3, 'j', 'failed'),
      line(3, 'j', 'completed', 'b'), // An output keeps the first that is completed.
    ]);
    const report = await makeReport(unfinished);
    expect(report.rows).toMatchObject({ completed: 2, failed: 1, cancelled: 1, unreadable: 0 });
    expect(report.accuracy).toMatchObject({ right: 2, count: 2 });
    expect(report.failures.map(({ example }) => example.line)).toEqual([5, 2]);
    const { comparison } = await makeReport(unfinished, { before: unfinished });
    expect(comparison).toMatchObject({ shared: 4, onlyBefore: 0, onlyNow: 0, bothRight: 2 });
  });

  it('finds fields under other names', async () => {
    const renamed = write('renamed.jsonl', [
      { prediction: 'a', gold: 'a', topic: 'p' },
      { prediction: 'a', gold: 'b', topic: 'p' },
    ]);
    const names = { id: [], answer: ['gold'], options: [], kind: ['type', 'topic'], category: [] };
    expect(await makeReport(renamed, { fields: names })).toMatchObject({
      accuracy: { right: 1, count: 2 },
      byKind: [{ name: 'p', count: 2 }],
    });
  });

  it('refuses what is no file of answers', async () => {
    await expect(makeReport(path('absent.jsonl'))).rejects.toThrow(/^cannot read the answers: ENOENT/);
    const questions = write('questions.jsonl', [{ video: 'a', question: 'b' }]);
    await expect(makeReport(questions)).rejects.toThrow(/expected rows with `prediction` and `status`/);
  });
});

describe('a comparison', () => {
  // Row 0 was wrong and is right, rows 2 and 9 were right, row 1 was right and is wrong, rows 3 and 4 were wrong and failed.
  const changes: Record<number, object> = {
    0: { prediction: 'five' },
    1: { prediction: 'four' },
    4: { status: 'failed', prediction: null, error: 'x' },
  };
  const before = write('before.jsonl', [
    ...[...answered.entries()].reverse().map(([i, row]) => ({ ...row, ...changes[i] })),
    { ...answered[0], batch: { row: 10, hash: 'h10', settings: 's' } },
  ]);

  it('says which rows got better and which worse, whatever their order', async () => {
    const { comparison } = await makeReport(file, { before });
    expect(comparison).toMatchObject({
      ...{ shared: 10, onlyBefore: 1, onlyNow: 0, better: 1, worse: 1, bothRight: 2, bothWrong: 1, p: 1 },
      byKind: [
        { name: 'colour', better: 0, worse: 0, bothRight: 2, bothWrong: 1 },
        { name: 'count', better: 1, worse: 1, bothRight: 0, bothWrong: 0 },
      ],
      betterRows: [{ line: 1, prediction: 'Two.', predictionBefore: 'five', answer: '2' }],
      worseRows: [{ line: 2, prediction: '3', predictionBefore: 'four' }],
    });
    expect(comparison!.before.rows).toMatchObject({ completed: 7, failed: 3 });
  });

  it('refuses two files without a row in common', async () => {
    const other = write('other.jsonl', [{ prediction: 'a', question: 'else?' }]);
    await expect(makeReport(file, { before: other })).rejects.toThrow(/expected rows of \S+other.jsonl in/);
  });

  it('tells rows of one name apart by their number', async () => {
    const twice = (...predictions: string[]) =>
      predictions.map((prediction) => ({ prediction, answer: 'a', question: 'q' }));
    const [old, now] = [write('old.jsonl', twice('a', 'b')), write('new.jsonl', twice('a', 'a'))];
    expect((await makeReport(now, { before: old })).comparison).toMatchObject({
      shared: 2,
      better: 1,
      bothRight: 1,
    });
  });
});

describe('the page', () => {
  it('shows what rows hold as text, and loads and runs nothing', async () => {
    const report = await makeReport(file, { before: file });
    const page = renderPage({ ...report, file: hostile }, new Date(0));
    expect(page).toContain(
      '&lt;img src=x onerror=&quot;alert(1)&quot;&gt; &amp; \u2028 it&#39;s &lt;/td&gt;',
    );
    expect(page).not.toMatch(/<img|<script|<link|\son\w+="[^&]|src="|url\(|@import|https?:/);
    expect(page).toContain("default-src 'none'; style-src 'unsafe-inline'");
  });

  it('escapes every field of a row', async () => {
    const fields = {
      video: hostile,
      question: hostile,
      kind: hostile,
      category: hostile,
      options: [hostile, hostile + 2],
    };
    const rows = [
      {
        ...fields,
        status: 'completed',
        prediction: hostile,
        answer: 'A',
        run: run(hostile, 5, 1, chosen(0, 0.2)),
      },
      { ...fields, status: 'completed', prediction: 'B', answer: 'A', run: { model: { name: hostile } } },
      { ...fields, status: 'failed', prediction: null, error: hostile, fault: hostile },
      { ...fields, status: 'cancelled', prediction: null },
    ];
    const now = write('hostile.jsonl', rows);
    const flipped = rows.map((row, i) => (i < 2 ? { ...row, prediction: 'AB'[i] } : row));
    const report = await makeReport(now, { before: write('hostile-before.jsonl', flipped) });
    const page = renderPage(report, new Date(0));
    expect(page.match(/&lt;img/g)!.length).toBeGreaterThan(10);
    expect(page).not.toContain('<img');
    // As many closing as opening cells: none was closed by a text.
    for (const tag of ['td', 'th', 'tr', 'table', 'div', 'span', 'details', 'section'])
      expect(page.split(`</${tag}>`).length).toBe(page.split(new RegExp(`<${tag}[ >]`)).length);
  });

  it('says what is missing where rows say little', async () => {
    const little = write('little.jsonl', [{ prediction: 'a' }]);
    const page = renderPage(await makeReport(little), new Date(0));
    expect(page).toContain('No row says where its time went.');
    expect(page).toContain('No row failed.');
    expect(page).not.toMatch(/NaN|undefined|null/);
  });
});

describe('html', () => {
  it('escapes what was not made by it, and joins lists', () => {
    const name = `<b title="'">&`;
    expect(html`<i a="${name}">${[html`<u>${1}</u>`, name]}${null}${undefined}</i>`.text).toBe(
      '<i a="&lt;b title=&quot;&#39;&quot;&gt;&amp;"><u>1</u>&lt;b title=&quot;&#39;&quot;&gt;&amp;</i>',
    );
  });

  it('leaves no tag of a text, whatever it is', () => {
    fc.assert(fc.property(fc.string(), (text) => !/[<>"']/.test(html`${text}`.text)));
  });
});

describe('readJsonLines', () => {
  it('reads any rows back, in their order, with what is between them', async () => {
    const texts = fc.array(fc.string({ unit: 'binary' }), { maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(texts, async (rows) => {
        writeFileSync(
          path('any.jsonl'),
          `\uFEFF${rows.map((q) => `${JSON.stringify({ q })}\r\n\n`).join('')}[1]\nnull`,
        );
        const read = [];
        for await (const { fields } of readJsonLines(path('any.jsonl'))) read.push(fields);
        expect(read).toEqual([...rows.map((q) => JSON.parse(JSON.stringify({ q }))), null, null]);
      }),
      { numRuns: 20 },
    );
  });

  it('puts lines together that are longer than what is read at once', async () => {
    const rows = [{ q: 'é'.repeat(400_000) }, { q: 'b' }];
    const long = write('long.jsonl', rows);
    const read = [];
    for await (const { line, fields } of readJsonLines(long)) read.push([line, fields]);
    expect(read).toEqual(rows.map((row, i) => [i + 1, row]));
    expect(readRow(1, { prediction: 'p', ...rows[0] })!.question.length).toBeLessThanOrEqual(400);
  });
});

describe('what is counted while rows pass by', () => {
  it('are percentiles by the nearest rank, of many values to half a per cent', () => {
    const of = (values: readonly number[]) => {
      const quantiles = new Quantiles();
      for (const value of values) quantiles.add(value);
      return quantiles;
    };
    expect([0.5, 0.9, 0.99].map((share) => of([30, 10, 20, 40]).at(share))).toEqual([20, 40, 40]);
    expect(of([]).at(0.5)).toBeNaN();
    const values = fc.array(fc.double({ min: 0, max: 1e6, noNaN: true }), {
      minLength: 5000,
      maxLength: 6000,
    });
    fc.assert(
      fc.property(values, fc.constantFrom(0.5, 0.9, 0.99), (many, share) => {
        const exact = many.toSorted((a, b) => a - b)[Math.ceil(share * many.length) - 1]!;
        expect(Math.abs(of(many).at(share) - exact)).toBeLessThanOrEqual(0.00501 * exact);
      }),
      { numRuns: 5 },
    );
  });

  it('are the highest, and groups up to a number', () => {
    const highest = new Highest<string>(2);
    for (const [rank, value] of [
      [1, 'a'],
      [3, 'b'],
      [2, 'c'],
      [3, 'd'],
    ] as const)
      highest.add(rank, value);
    expect(highest.values()).toEqual(['b', 'd']);
    const groups = new Groups(() => ({ count: 0 }));
    for (let i = 0; i < 1500; i++) groups.of(`kind ${i}`).count += 1;
    expect(groups.entries()).toHaveLength(1001);
    expect(groups.of(otherGroups).count).toBe(500);
  });
});

describe('numbers for people', () => {
  it('are short', () => {
    expect([0.34, 812, 1940, 12_345, 59_949, 59_970, 185_000].map(duration)).toEqual([
      ...['0.3 ms', '812 ms', '1.94 s', '12.3 s', '59.9 s', '1 min 00 s', '3 min 05 s'],
    ]);
    expect([0.012, -0.1, Number.NaN].map(points)).toEqual(['+1.2', '−10.0', '–']);
    expect([0.00001, 0.0123, 1].map(probability)).toEqual(['below 0.0001', '0.012', '1']);
  });
});

describe('visionzip report', () => {
  it('prints what the rows come to, and the same as a document and a page', async () => {
    const out = path('report.html');
    const text = await cli(['report', file]);
    expect([text.code, text.stderr]).toEqual([0, '']);
    expect(text.stdout).toMatch(
      /^right {3}3 of 6: 50\.0 % \(95 %: 18\.8 to 81\.2 %\)\nrows {4}7 answered, 3 failed or/,
    );
    expect(text.stdout).toContain('failed  2 × "a.mp4": 3 frames do not fit');
    const part = write('part.jsonl', answered.slice(0, 3));
    expect((await cli(['report', part, '--compare', file])).stdout).toMatch(
      /since .* points, p 1\n {8}of 3 rows in both; 7 rows only there, 0 rows only here\n$/,
    );
    const run = await cli(['report', file, '--compare', path('before.jsonl'), '--out', out, '--json']);
    expect([run.code, run.stderr]).toEqual([0, '']);
    expect(documentOf(run)).toMatchObject({ accuracy: { right: 3 }, comparison: { better: 1, worse: 1 } });
    expect(await readFile(out, 'utf8')).toMatch(/^<!doctype html>\n<html lang="en">/);
  });

  it('reads answers from a pipe', async () => {
    const piped = await cli(['report', '-', '--json'], {}, folder, await readFile(file, 'utf8'));
    expect(documentOf(piped)).toMatchObject({ file: '-', accuracy: { right: 3, count: 6 } });
    const args = [
      '-c',
      `"$0" ${cliMain} report <(cat ${file}) --compare <(cat ${file}) --json`,
      process.execPath,
    ];
    const { stdout } = await promisify(execFile)('bash', args);
    expect(JSON.parse(stdout)).toMatchObject({ accuracy: { right: 3 }, comparison: { shared: 10 } });
  });

  it('reads other fields, and tells what it expected', async () => {
    const mapped = await cli([
      'report',
      path('renamed.jsonl'),
      '--map',
      'answer=gold',
      '--map',
      'kind=topic',
      '--json',
    ]);
    expect(documentOf(mapped)).toMatchObject({ accuracy: { right: 1, count: 2 }, byKind: [{ name: 'p' }] });
    const wrong = await cli(['report', file, '--map', 'colour=gold']);
    expect([wrong.code, wrong.stderr]).toEqual([
      2,
      expect.stringContaining('id, answer, options, kind, category'),
    ]);
    const inherited = await cli(['report', file, '--map', 'toString=gold']);
    expect(inherited.code).toBe(2);
    const same = await cli(['report', file, '--out', file]);
    expect([same.code, same.stderr]).toEqual([
      2,
      `visionzip: --out must not be the file of answers ${file}\n`,
    ]);
    const none = await cli(['report', path('absent.jsonl')]);
    expect([none.code, none.stderr]).toEqual([2, expect.stringContaining('cannot read the answers: ENOENT')]);
  });
});
