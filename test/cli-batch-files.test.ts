import { linkSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BatchOutput, isSameFile, type OutputOptions } from '../src/cli/batch/output.js';
import { groupByVideo, parseRows } from '../src/cli/batch/rows.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'visionzip-batch-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const lines = (...rows: unknown[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');

describe('the rows of a batch', () => {
  it('take the video relative to the folder of the file, and carry other fields through', () => {
    const [row] = parseRows(lines({ id: 7, video: 'a/b.mp4', question: 'What?' }), '/data/rows.jsonl');
    expect(row!.ask).toEqual({ video: '/data/a/b.mp4', question: 'What?' });
    expect(row!.fields).toEqual({ id: 7, video: 'a/b.mp4', question: 'What?' });
  });

  it('say what is wrong with a bad line instead of failing', () => {
    const text = `{"video":"a.mp4"}\nnot JSON\n[1]\n${lines({ video: 'a.mp4', question: '  ' }, { question: 1 })}`;
    expect(parseRows(text, 'rows.jsonl').map((row) => row.error)).toEqual([
      'the row needs `question` as text',
      'the line is not a JSON object',
      'the line is not a JSON object',
      'the question is empty',
      'the row needs `video` and `question` as text',
    ]);
  });

  it('are numbered without blank lines and a byte order mark', () => {
    const rows = parseRows(
      '\uFEFF{"video":"a","question":"b"}\r\n\n  \n{"video":"c","question":"d"}',
      'rows.jsonl',
    );
    expect(rows.map(({ index, error }) => [index, error])).toEqual([
      [0, undefined],
      [1, undefined],
    ]);
  });

  it('differ in their hash when their text differs', () => {
    const rows = parseRows(lines({ video: 'a', question: 'b' }, { video: 'a', question: 'c' }), 'rows.jsonl');
    expect(rows[0]!.hash).not.toBe(rows[1]!.hash);
  });
});

describe('the groups of a batch', () => {
  const group = (...rows: [string, string][]) =>
    groupByVideo(
      parseRows(lines(...rows.map(([video, question]) => ({ video, question }))), '/data/rows.jsonl'),
    ).map(({ rows }) => rows.map((row) => row.index));

  it('hold the rows of one video, adjacent or not', () => {
    expect(group(['a', '1'], ['b', '2'], ['./a', '3'], ['b', '4'])).toEqual([
      [0, 2],
      [1, 3],
    ]);
  });

  it('hold at most 256 rows', () => {
    const groups = group(...Array.from({ length: 600 }, (_, i): [string, string] => ['a', String(i)]));
    expect(groups.map((rows) => rows.length)).toEqual([256, 256, 88]);
  });

  it('hold at most 200,000 characters', () => {
    const long = 'x'.repeat(16_000);
    const groups = group(...Array.from({ length: 14 }, (): [string, string] => ['a', long]));
    expect(groups.map((rows) => rows.length)).toEqual([12, 2]);
  });
});

describe('the output of a batch', () => {
  const input = lines(
    { video: 'a', question: '1' },
    { video: 'a', question: '2' },
    { video: 'b', question: '3' },
  );
  const rows = parseRows(input, '/data/rows.jsonl');
  const options: OutputOptions = { rows, settings: { model: 'nano' }, keepFailed: false, replace: false };
  const read = (path: string) =>
    readFileSync(path, 'utf8')
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line));

  async function write(path: string, ...indices: number[]): Promise<void> {
    const output = await BatchOutput.open(path, options);
    for (const i of indices)
      await output.append(rows[i]!, { status: 'completed', prediction: `answer ${i}` });
    await output.close();
  }

  async function done(path: string, changes: Partial<OutputOptions> = {}): Promise<number[]> {
    const output = await BatchOutput.open(path, { ...options, ...changes });
    await output.close();
    return [...output.done];
  }

  it('goes on after the rows that are there', async () => {
    const path = join(folder, 'out.jsonl');
    await write(path, 2, 0);
    expect(await done(path)).toEqual([2, 0]);
    await write(path, 1);
    expect(read(path).map((row) => [row.question, row.prediction])).toEqual([
      ['3', 'answer 2'],
      ['1', 'answer 0'],
      ['2', 'answer 1'],
    ]);
  });

  it('loses a torn last line and nothing else', async () => {
    const path = join(folder, 'out.jsonl');
    await write(path, 0, 1);
    const text = readFileSync(path, 'utf8');
    writeFileSync(path, text.slice(0, -20));
    expect(await done(path)).toEqual([0]);
    expect(readFileSync(path, 'utf8')).toBe(`${text.split('\n')[0]}\n`);
  });

  it('keeps a last line that only lacks its line end', async () => {
    const path = join(folder, 'out.jsonl');
    await write(path, 0, 1);
    writeFileSync(path, readFileSync(path, 'utf8').trimEnd());
    await write(path, 2);
    expect(read(path)).toHaveLength(3);
  });

  it('drops failed rows, so that they are tried again, unless they are to be kept', async () => {
    const path = join(folder, 'out.jsonl');
    const output = await BatchOutput.open(path, options);
    await output.append(rows[0]!, { status: 'failed', prediction: null, error: 'no such file' });
    await output.append(rows[1]!, { status: 'completed', prediction: 'red' });
    await output.close();
    expect(await done(path, { keepFailed: true })).toEqual([0, 1]);
    expect(await done(path)).toEqual([1]);
    expect(read(path)).toHaveLength(1);
  });

  it('keeps one line of a row that is there twice', async () => {
    const path = join(folder, 'out.jsonl');
    await write(path, 0);
    writeFileSync(path, readFileSync(path, 'utf8').repeat(2));
    expect(await done(path)).toEqual([0]);
    expect(read(path)).toHaveLength(1);
  });

  it('is refused when it was made with other options', async () => {
    const path = join(folder, 'out.jsonl');
    await write(path, 0);
    await expect(done(path, { settings: { model: 'other' } })).rejects.toThrow('was made with other options');
  });

  it('is refused when it holds rows of another input, unless they may be replaced', async () => {
    const path = join(folder, 'out.jsonl');
    await write(path, 0, 1);
    const changed = parseRows(input.replace('"2"', '"two"'), '/data/rows.jsonl');
    await expect(done(path, { rows: changed })).rejects.toThrow('holds 1 row that the input does not have');
    expect(read(path)).toHaveLength(2);
    expect(await done(path, { rows: changed, replace: true })).toEqual([0]);
  });

  it.each([
    ['text', 'my notes'],
    ['text of several lines', 'my\nnotes\n'],
    ['a JSON file', '{"name": "mine"}'],
    ['other rows', lines({ video: 'a', question: 'b' })],
  ])('is refused, and stays as it is, when it is %s', async (_, text) => {
    const path = join(folder, 'out.jsonl');
    writeFileSync(path, text);
    await expect(done(path)).rejects.toThrow('is not a row of a batch');
    expect(readFileSync(path, 'utf8')).toBe(text);
  });

  it('is known to be the input through links', async () => {
    const path = join(folder, 'rows.jsonl');
    writeFileSync(path, input);
    symlinkSync(path, join(folder, 'soft.jsonl'));
    linkSync(path, join(folder, 'hard.jsonl'));
    writeFileSync(join(folder, 'other.jsonl'), input);
    expect(await isSameFile(path, join(folder, 'soft.jsonl'))).toBe(true);
    expect(await isSameFile(path, join(folder, 'hard.jsonl'))).toBe(true);
    expect(await isSameFile(path, join(folder, 'other.jsonl'))).toBe(false);
    expect(await isSameFile(path, join(folder, 'absent.jsonl'))).toBe(false);
  });
});
