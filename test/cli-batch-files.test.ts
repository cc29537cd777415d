import {
  chmodSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Fingerprint, Fingerprints, fingerprintOf } from '../src/batch/fingerprints.js';
import { type Columns, layoutOf } from '../src/batch/layout.js';
import { BatchOutput, digestSettings, isSameFile, type OutputOptions } from '../src/batch/output.js';
import { openRows } from '../src/batch/readers/index.js';
import { namesOfOptions, parseRow, type Row } from '../src/batch/rows.js';
import { type Choice, rowsAgain, surveyRows } from '../src/batch/survey.js';
import { Tally } from '../src/batch/tally.js';
import { replaceFile } from '../src/batch/tidy.js';
import { type Group, Window } from '../src/batch/window.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'visionzip-batch-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const layout = (idField?: string) => layoutOf({ file: 'rows.jsonl', folder: '/data', idField });

/** The rows of a JSONL text in the folder /data. */
function parseRows(text: string, idField?: string): Row[] {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return lines.map((line, index) => parseRow({ text: line.trim() }, index, layout(idField)));
}

function fingerprints(rows: readonly Row[]): Fingerprints {
  const all = new Fingerprints();
  for (const row of rows) all.add(fingerprintOf(row));
  return all;
}

async function readTexts(file: string): Promise<string[]> {
  const texts: string[] = [];
  for await (const { text } of (await openRows(file)).rows()) texts.push(text);
  return texts;
}

const lines = (...rows: unknown[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');

describe('the rows of a batch', () => {
  it('take the video relative to the folder of the file, and carry other fields through', () => {
    const [row] = parseRows(lines({ id: 7, video: 'a/b.mp4', question: 'What?' }));
    expect(row!.ask).toEqual({ video: '/data/a/b.mp4', question: 'What?', range: {} });
    expect(row!.members.map(({ text }) => text)).toEqual([
      '"id":7',
      '"video":"a/b.mp4"',
      '"question":"What?"',
    ]);
  });

  it.each([
    [
      { start: 2, end: 5.5 },
      { startSeconds: 2, endSeconds: 5.5 },
    ],
    [{ startSeconds: 2 }, { startSeconds: 2 }],
    [
      { start: '1:02.5', end: '1:00:00' },
      { startSeconds: 62.5, endSeconds: 3600 },
    ],
    [{ start: null, end: null }, {}],
    [{ start: 'noon' }, '`start` of the row: expected seconds, m:ss or h:mm:ss, got "noon"'],
    [{ end: -1 }, '`end` of the row: expected seconds, m:ss or h:mm:ss, got -1'],
    [{ end: [1] }, '`end` of the row: expected seconds, m:ss or h:mm:ss, got [1]'],
    [{ start: 4, end: '0:04' }, "the row's end, 4 s, must be behind its start, 4 s"],
    [{ start: 1, startSeconds: 1 }, 'the row has `start` and `startSeconds`: give one of them'],
  ])('with %j have the range %j', (fields, range) => {
    const [row] = parseRows(lines({ video: 'a', question: 'b', ...fields }));
    expect(row!.error ?? row!.ask!.range).toEqual(range);
  });

  it('are known by a field of theirs as it is written, where they are told which', async () => {
    const row = (id: string) => `{"id":${id},"video":"a","question":"b"}\n`;
    const text = `${row('9007199254740993')}${row('9007199254740992')}${row('"9007199254740992"')}${row('null')}`;
    const rows = parseRows(text, 'id');
    expect(rows.map(({ key, error }) => error ?? key)).toEqual([
      '9007199254740993',
      '9007199254740992',
      '"9007199254740992"',
      'the row needs `id`, its name, as text or a number',
    ]);
    const file = join(folder, 'rows.jsonl');
    writeFileSync(file, `${row('1.0')}${row('2')}${row('1.0')}`);
    await expect(surveyRows(await openRows(file), layout('id'), {})).rejects.toThrow(
      '--id-field id: rows 1 and 3 are both named 1.0',
    );
  });

  it('are refused where none has the columns that all need, and say what no row has', async () => {
    const file = join(folder, 'rows.csv');
    const survey = async (map?: Columns, idField?: string) =>
      surveyRows(await openRows(file), layoutOf({ file, folder, map, idField }), {});
    writeFileSync(file, 'clip;question\na;b\n');
    await expect(survey()).rejects.toThrow(
      `no row of ${file} has \`video\` (its video), nor \`question\` (its question): the first has \`clip;question\`; --map names other columns`,
    );
    writeFileSync(file, 'clip,question,a0,a1\na,b,c,d\n');
    await expect(survey()).rejects.toThrow('has `video` (its video): the first has `clip`, `question`, ');
    await expect(survey({ video: 'clip' }, 'name')).rejects.toThrow('has `name` (its id): ');
    const map = { video: ['clip', 'film'], options: ['a0', 'a1', 'a2'], answer: 'gold', start: '-' };
    expect((await survey(map)).absentColumns).toEqual(['a2', 'gold']);
    writeFileSync(file, 'clip,question\n');
    expect((await survey()).wanted).toBe(0);
  });

  it('name the options that they have and that are not read', () => {
    const rows = parseRows(lines({ fps: 3, colour: 1 }, { max_frames: 2, start: 1, frames: 4, fps: 2 }));
    expect(namesOfOptions(rows)).toEqual(['fps', 'max_frames']);
  });

  it('say what is wrong with a bad line instead of failing', () => {
    const text = `{"video":"a.mp4"}\nnot JSON\n[1]\n${lines({ video: 'a.mp4', question: '  ' }, { question: 1 })}`;
    expect(parseRows(text).map((row) => row.error)).toEqual([
      'the row needs `question` as text',
      'the line is not a JSON object',
      'the line is not a JSON object',
      'the question is empty',
      'the row needs `video` and `question` as text',
    ]);
  });

  it('are numbered without blank lines', () => {
    const rows = parseRows('{"video":"a","question":"b"}\r\n\n  \n{"video":"c","question":"d"}');
    expect(rows.map(({ index, error }) => [index, error])).toEqual([
      [0, undefined],
      [1, undefined],
    ]);
  });

  it('differ in their hash when their text differs', () => {
    const rows = parseRows(lines({ video: 'a', question: 'b' }, { video: 'a', question: 'c' }));
    expect(rows[0]!.hash).not.toBe(rows[1]!.hash);
  });
});

describe('a file of rows', () => {
  it.each([
    ['video,question\na.mp4,What?\n', 'probably CSV: its first line is "video,question"'],
    ['video\tquestion\na.mp4\tWhat?\n', 'probably TSV: its first line is'],
    ['[{"video":"a.mp4","question":"What?"}]\n', 'a JSON array'],
    ['[\n  {"video":"a.mp4","question":"What?"}\n]\n', 'a JSON array'],
    ['{\n  "video": "a.mp4",\n  "question": "What?"\n}\n', 'one JSON object over several lines'],
    ['PAR1\x15\x04', 'a Parquet file'],
    ['\x1f\x8b\x08\x00', 'a gzip file'],
    ['\x7fELF\x00', 'no text'],
    [`${'notes '.repeat(40)}`, `something else: its first line is "${'notes '.repeat(10)}…"`],
  ])('that is %j is refused as a whole', async (text, what) => {
    const file = join(folder, 'rows');
    writeFileSync(file, Buffer.from(text, 'latin1'));
    await expect(openRows(file)).rejects.toThrow(
      `expected a JSONL file, one JSON object a line; ${file} is ${what}`,
    );
  });

  it('may be empty, begin with a byte order mark, and have bad lines among good ones', async () => {
    const file = join(folder, 'rows');
    for (const [text, read] of [
      ['', []],
      ['\uFEFF{"video":"a"}\n', ['{"video":"a"}']],
      ['video,question\n{}\n', ['video,question', '{}']],
    ] as const) {
      writeFileSync(file, text);
      expect(await readTexts(file)).toEqual(read);
    }
  });
});

describe('a survey of a file', () => {
  const file = () => join(folder, 'rows.jsonl');
  const row = (id: number, video = 'a.mp4') => ({ id, video, question: `what is ${id}?` });
  const write = (...rows: object[]) => writeFileSync(file(), lines(...rows));
  const collect = async (rows: AsyncIterable<Row>) => {
    const indices: number[] = [];
    for await (const { index } of rows) indices.push(index);
    return indices;
  };

  it('knows which rows are wanted', async () => {
    write(...Array.from({ length: 3_000 }, (_, i) => row(i, `${i % 9}.mp4`)));
    const wanted = async (choice: Choice, idField?: string) => {
      const survey = await surveyRows(await openRows(file()), layout(idField), choice);
      const indices = Array.from({ length: 3_000 }, (_, i) => i).filter(survey.isWanted);
      expect(indices.length).toBe(survey.wanted);
      return indices;
    };
    expect(await wanted({ limit: 2 })).toEqual([0, 1]);
    expect(await wanted({ only: ['2500', '1'] })).toEqual([0, 2499]);
    expect(await wanted({ only: ['2500'] }, 'id')).toEqual([2500]);
    expect(await wanted({ only: ['1', '3'], limit: 1 })).toEqual([0]);
    await expect(wanted({ only: ['3001', '1'], limit: 1 })).rejects.toThrow('--only 3001: no row has this');
    const parts = await Promise.all([1, 2, 3].map((part) => wanted({ shard: { part, count: 3 } })));
    expect(parts.flat().sort((a, b) => a - b)).toEqual(await wanted({}));
    // All rows about a video are in one part.
    const videos = parts.map((indices) => [...new Set(indices.map((i) => i % 9))]);
    expect(videos.flat().length).toBe(9);
  });

  it('shares rows out by the names of their videos, wherever those lie', async () => {
    write(...Array.from({ length: 60 }, (_, i) => row(i, `${i % 2 ? './' : ''}${i % 30}.mp4`)));
    const opened = await openRows(file());
    const part = async (mount: string | null) => {
      const moved = layoutOf({ file: file(), folder: mount });
      const survey = await surveyRows(opened, moved, { shard: { part: 1, count: 2 } });
      return Array.from({ length: 60 }, (_, i) => i).filter(survey.isWanted);
    };
    const here = await part('/data');
    expect(await part('/mnt/other')).toEqual(here);
    expect(await part(null)).toEqual(here);
    expect(here.length % 60).not.toBe(0);
  });

  it('gives the rows that wait, and notices that the file is another one', async () => {
    write(row(0), row(1), row(2));
    const rows = await openRows(file());
    const survey = await surveyRows(rows, layout(), {});
    const again = () => collect(rowsAgain(rows, layout(), survey, (index) => index !== 1));
    expect(await again()).toEqual([0, 2]);
    write(row(0), row(1), row(3));
    await expect(again()).rejects.toThrow('changed while it was read: see row 3');
    write(row(0));
    await expect(again()).rejects.toThrow('changed while it was read: see row 2');
  });
});

describe('fingerprints', () => {
  it('find each of many rows, and rows that are alike in their order', () => {
    const all = new Fingerprints();
    const of = (i: number): Fingerprint => [(i * 2_654_435_761) >>> 0, (i * 40_503) >>> 0];
    for (let i = 0; i < 20_000; i++) all.add(of(i % 15_000));
    for (const i of [0, 1, 4_999, 5_000, 14_999]) {
      expect(all.first(of(i))).toBe(i);
      expect(all.next(i)).toBe(i < 5_000 ? 15_000 + i : -1);
    }
    expect(all.first(of(15_000))).toBe(-1);
    expect(all.next(15_000)).toBe(-1);
  });
});

describe('the progress of a batch without a terminal', () => {
  it('is a line a minute at most, with the rate and the time that is left', () => {
    let now = 0;
    let told = '';
    const stderr = {
      isTTY: false,
      write: (text: string) => {
        told += text;
        return true;
      },
    };
    const tally = new Tally(100, 10, { stderr, now: () => now });
    tally.begin();
    for (; now < 150_000; now += 6_000) tally.add({ status: 'completed' }, now === 0 ? null : now < 50_000);
    tally.add({ status: 'failed', fault: 'video' });
    tally.add({ status: 'failed', fault: 'row' });
    tally.add({ status: 'failed', fault: 'video' });
    tally.end();
    // At 60 s: 11 rows, 79 left at 60 / 11 s each; at 120 s: 21 rows, 69 left at 120 / 21 s each. 8 of 24 are right.
    expect(told.split('\n')).toEqual([
      '21/100 rows, 80.0 % right, 0.18 a second, about 7 min 11 s left',
      '31/100 rows, 40.0 % right, 0.17 a second, about 6 min 34 s left',
      '100 rows: 25 answered, 3 failed (2 video, 1 row), 10 there before, 62 not reached, 33.3 % right in 2 min 30 s',
      '',
    ]);
  });
});

describe('the pace of a batch', () => {
  it('leaves pauses out, and how long is left is not said of one that drains', () => {
    let now = 0;
    const lines: string[] = [];
    const write = (text: string) => lines.push(text) > 0;
    const tally = new Tally(10, 0, { stderr: { isTTY: false, write }, now: () => now });
    tally.begin();
    expect(tally.pace()).toEqual({ rowsPerMinute: null, secondsLeft: null });
    now = 10_000;
    tally.enter('paused');
    now = 50_000;
    tally.add({ status: 'completed' });
    tally.add({ status: 'failed', fault: 'video' });
    // 2 rows in the 10 s before the pause, 8 left at 5 s each.
    expect(tally.pace()).toEqual({ rowsPerMinute: 12, secondsLeft: 40 });
    tally.enter('running');
    now = 60_000;
    expect(tally.pace()).toEqual({ rowsPerMinute: 6, secondsLeft: 80 });
    tally.enter('draining');
    expect(tally.pace()).toEqual({ rowsPerMinute: 6, secondsLeft: null });
    expect(lines).toEqual([
      'paused: no more rows are taken for now, 0/10 rows\n',
      '2/10 rows, 1 failed (1 video), 0.20 a second, about 40.0 s left\n',
      'draining: no more rows are taken, 2/10 rows, 1 failed (1 video), 0.10 a second\n',
    ]);
  });
});

describe('the groups of a batch', () => {
  function groupRows(rows: readonly Row[]): Group[] {
    const window = new Window();
    for (const row of rows) window.add(row);
    const groups: Group[] = [];
    for (let group = window.take(); group; group = window.take()) groups.push(group);
    return groups;
  }
  const group = (...rows: [string, string][]) =>
    groupRows(parseRows(lines(...rows.map(([video, question]) => ({ video, question }))))).map(({ rows }) =>
      rows.map((row) => row.index),
    );

  it('hold the rows of one video, adjacent or not', () => {
    expect(group(['a', '1'], ['b', '2'], ['./a', '3'], ['b', '4'])).toEqual([
      [0, 2],
      [1, 3],
    ]);
  });

  it('hold the rows of one range and one number of frames', () => {
    const row = (start: number, frames?: number) => ({ video: 'a', question: 'b', start, frames });
    const groups = groupRows(parseRows(lines(row(1), row(2), row(1), row(2, 8))));
    expect(groups.map(({ rows, range, frames }) => [rows.map(({ index }) => index), range, frames])).toEqual([
      [[0, 2], { startSeconds: 1 }, undefined],
      [[1], { startSeconds: 2 }, undefined],
      [[3], { startSeconds: 2 }, 8],
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

  it('are looked for among a thousand rows, or fewer of long ones', () => {
    const fill = (question: string) => {
      const window = new Window();
      let rows = 0;
      const [row] = parseRows(lines({ video: 'a', question }));
      for (; !window.isFull; rows++) window.add(row!);
      window.take();
      return [rows, window.isFull];
    };
    expect(fill('b')).toEqual([1_000, false]);
    expect(fill('x'.repeat(16_000))).toEqual([250, false]);
  });
});

describe('the output of a batch', () => {
  const input = lines(
    { video: 'a', question: '1' },
    { video: 'a', question: '2' },
    { video: 'b', question: '3' },
  );
  const rows = parseRows(input);
  const settings = digestSettings({ model: 'nano' });
  const options: OutputOptions = { rows: fingerprints(rows), settings, replace: false };
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

  /** The rows that are there, once the output was brought into order. */
  async function done(path: string, changes: Partial<OutputOptions> = {}): Promise<number[]> {
    const output = await BatchOutput.open(path, { ...options, ...changes });
    await output.finish();
    await output.close();
    return completed(output, changes.rows);
  }

  function completed(output: BatchOutput, { size }: Fingerprints = options.rows): number[] {
    return Array.from({ length: size }, (_, i) => i).filter((i) => output.statusOf(i) === 'completed');
  }

  it('goes on after the rows that are there', async () => {
    const path = join(folder, 'out.jsonl');
    await write(path, 2, 0);
    const before = await BatchOutput.open(path, options);
    await before.close();
    expect(completed(before)).toEqual([0, 2]);
    await write(path, 1);
    expect(read(path).map((row) => [row.question, row.prediction])).toEqual([
      ['3', 'answer 2'],
      ['1', 'answer 0'],
      ['2', 'answer 1'],
    ]);
  });

  it('has the order of the input at the end', async () => {
    const path = join(folder, 'out.jsonl');
    await write(path, 2, 0, 1);
    expect(await done(path)).toEqual([0, 1, 2]);
    const text = readFileSync(path, 'utf8');
    expect(read(path).map((row) => [row.question, row.batch.row])).toEqual([
      ['1', 0],
      ['2', 1],
      ['3', 2],
    ]);
    expect(await done(path)).toEqual([0, 1, 2]);
    expect(readFileSync(path, 'utf8')).toBe(text);
  });

  it('stays as it is where there is no room to bring it into order', async () => {
    const path = join(folder, 'out.jsonl');
    await write(path, 2, 0, 1);
    const text = readFileSync(path, 'utf8');
    const output = await BatchOutput.open(path, options);
    mkdirSync(`${path}.visionzip.tmp`); // Where the ordered file would be written.
    await expect(output.finish()).rejects.toThrow(`cannot write ${path}: EISDIR`);
    await output.close();
    expect(readFileSync(path, 'utf8')).toBe(text);
  });

  it.each([
    ['cut off', (line: string) => line.slice(0, -20)],
    ['of bytes that were not written before the power was lost', (line: string) => '\0'.repeat(line.length)],
  ])('loses a last line that is %s, and nothing else', async (_, tear) => {
    const path = join(folder, 'out.jsonl');
    await write(path, 0, 1);
    const [first, last] = readFileSync(path, 'utf8').split('\n') as [string, string];
    writeFileSync(path, `${first}\n${tear(last)}`);
    expect(await done(path)).toEqual([0]);
    expect(readFileSync(path, 'utf8')).toBe(`${first}\n`);
  });

  it('keeps a last line that only lacks its line end', async () => {
    const path = join(folder, 'out.jsonl');
    await write(path, 0, 1);
    writeFileSync(path, readFileSync(path, 'utf8').trimEnd());
    await write(path, 2);
    expect(read(path)).toHaveLength(3);
  });

  it('has failed rows until they are answered', async () => {
    const path = join(folder, 'out.jsonl');
    const output = await BatchOutput.open(path, options);
    await output.append(rows[0]!, { status: 'failed', prediction: null, error: 'no such file' });
    await output.append(rows[1]!, { status: 'completed', prediction: 'red' });
    await output.close();
    expect(rows.map(({ index }) => output.statusOf(index))).toEqual(['failed', 'completed', 'absent']);
    expect(await done(path)).toEqual([1]);
    expect(read(path).map(({ status }) => status)).toEqual(['failed', 'completed']);
    await write(path, 0);
    expect(read(path)).toHaveLength(3); // Until the end of the batch.
    expect(await done(path)).toEqual([0, 1]);
    expect(read(path).map(({ prediction }) => prediction)).toEqual(['answer 0', 'red']);
  });

  it('has the fields of a row byte for byte, and ours in the place of those of the same name', async () => {
    const path = join(folder, 'out.jsonl');
    const own = String.raw`"id": 9007199254740993 , "10":1e400,"2":1.0,"x":{"b":-0,"a":[1.50]},"s":"\u00e9\/\ud800","d":1,"d":2,"__proto__":{"n":1E+2}`;
    const [row] = parseRows(`{${own},"prediction":"mine","batch":1,"video":"a","question":"1"}\n`, 'id');
    const write = async () => {
      const output = await BatchOutput.open(path, { ...options, rows: fingerprints([row!]), idField: 'id' });
      if (output.statusOf(0) === 'absent')
        await output.append(row!, { status: 'completed', prediction: 'red' });
      await output.close();
    };
    await write();
    const text = readFileSync(path, 'utf8');
    expect(text.replace(' , ', ',')).toContain(
      `{${own.replace(' , ', ',')},"video":"a","question":"1","prediction":"red","status":"completed","batch":{"row":0,`,
    );
    await write();
    expect(readFileSync(path, 'utf8')).toBe(text);
  });

  it('goes on after rows were moved and added', async () => {
    const path = join(folder, 'out.jsonl');
    const line = (id: number) => `{"id":${id},"video":"a","question":"${id}"}\n`;
    const open = (text: string) =>
      BatchOutput.open(path, { ...options, rows: fingerprints(parseRows(text, 'id')), idField: 'id' });
    const before = parseRows(`${line(7)}${line(8)}`, 'id');
    const output = await open(`${line(7)}${line(8)}`);
    for (const row of before) await output.append(row, { status: 'completed', prediction: 'red' });
    await output.close();
    const later = await open(`${line(9)}${line(8)}${line(7)}`);
    await later.finish();
    await later.close();
    expect([0, 1, 2].map((index) => later.statusOf(index))).toEqual(['absent', 'completed', 'completed']);
    expect(read(path).map(({ id, batch }) => [id, batch.row])).toEqual([
      [8, 1],
      [7, 2],
    ]);
    await expect(open(line(8))).rejects.toThrow('holds 1 row that the input does not have');
  });

  it('keeps one line of a row that is there twice', async () => {
    const path = join(folder, 'out.jsonl');
    await write(path, 0);
    writeFileSync(path, readFileSync(path, 'utf8').repeat(2));
    expect(await done(path)).toEqual([0]);
    expect(read(path)).toHaveLength(1);
  });

  it('keeps as many lines of rows that are alike as there are rows', async () => {
    const path = join(folder, 'out.jsonl');
    const twins = parseRows(lines({ video: 'a', question: '1' }, { video: 'a', question: '1' }));
    const changes = { rows: fingerprints(twins) };
    await write(path, 0);
    expect(await done(path, changes)).toEqual([0]);
    await write(path, 0);
    expect(await done(path, changes)).toEqual([0, 1]);
    await write(path, 0);
    expect(await done(path, changes)).toEqual([0, 1]);
    expect(read(path).map(({ batch }) => batch.row)).toEqual([0, 1]);
  });

  it('is refused when it was made with other options', async () => {
    const path = join(folder, 'out.jsonl');
    await write(path, 0);
    await expect(done(path, { settings: digestSettings({ model: 'other' }) })).rejects.toThrow(
      'was made with other options',
    );
  });

  it('is gone on with though rows failed with other options, as with a model that there is not', async () => {
    const path = join(folder, 'out.jsonl');
    const output = await BatchOutput.open(path, options);
    await output.append(rows[0]!, { status: 'failed', prediction: null, error: 'no such model' });
    await output.close();
    const settings = digestSettings({ model: 'other' });
    expect(await done(path, { settings })).toEqual([]);
    expect(read(path)).toEqual([]);
  });

  it('is refused when it holds rows of another input, unless they may be replaced', async () => {
    const path = join(folder, 'out.jsonl');
    await write(path, 0, 1);
    const changed = fingerprints(parseRows(input.replace('"2"', '"two"')));
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

describe('a file that takes the place of another', () => {
  it('keeps its permissions, and the link that leads there', async () => {
    const [file, link] = [join(folder, 'deep', 'out.jsonl'), join(folder, 'link.jsonl')];
    mkdirSync(join(folder, 'deep'));
    symlinkSync(file, link);
    writeFileSync(link, 'before');
    chmodSync(file, 0o600);
    await replaceFile(link, async (open) => open.writeFile('after'));
    expect([readFileSync(file, 'utf8'), readlinkSync(link)]).toEqual(['after', file]);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readdirSync(join(folder, 'deep'))).toEqual(['out.jsonl']);
  });
});
