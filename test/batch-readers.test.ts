import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { layoutOf, parseMap } from '../src/batch/layout.js';
import { type Format, openRows } from '../src/batch/readers/index.js';
import { ArraySplitter } from '../src/batch/readers/json.js';
import { jsonOf } from '../src/batch/readers/parquet.js';
import { parseRow, type Row } from '../src/batch/rows.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'visionzip-readers-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function readRows(name: string, bytes: string | Buffer, format?: Format): Promise<Row[]> {
  const file = join(folder, name);
  writeFileSync(file, bytes);
  const opened = await openRows(file, format);
  const layout = layoutOf({ file, folder });
  const rows: Row[] = [];
  for await (const source of opened.rows()) rows.push(parseRow(source, rows.length, layout));
  return rows;
}

const table = [
  { video: 'a.mp4', question: 'What is "it", then?', start: 1.5, frames: 8, answer: 'red', note: 'ä\u2028' },
  { video: 'b/c.mp4', question: 'Which?\nThis or that?', start: null, frames: null, answer: null, note: '' },
];

const quoted = (value: unknown) => (value === null ? '' : `"${String(value).replaceAll('"', '""')}"`);
const separated = (delimiter: string) =>
  [Object.keys(table[0]!), ...table.map((row) => Object.values(row).map(quoted))]
    .map((cells) => `${cells.join(delimiter)}\r\n`)
    .join('');
const parquet = () =>
  Buffer.from(
    parquetWriteBuffer({
      columnData: Object.keys(table[0]!).map((name) => ({
        name,
        data: table.map((row) => row[name as keyof typeof row]),
      })),
      rowGroupSize: 1,
    }),
  );

describe('a file of rows', () => {
  it.each([
    ['rows.jsonl', table.map((row) => JSON.stringify(row)).join('\n')],
    ['rows.ndjson', table.map((row) => `${JSON.stringify(row)}\r\n`).join('\n')],
    ['rows.json', JSON.stringify(table)],
    ['pretty.json', JSON.stringify(table, null, 2)],
    [
      'object.json',
      JSON.stringify({ version: [1].length, info: { a: 'b]' }, data: table, end: true }, null, '\t'),
    ],
    ['rows.csv', separated(',')],
    ['marked.csv', `\uFEFF${separated(',')}`],
    ['rows.tsv', separated('\t')],
    ['rows.parquet', parquet()],
  ])('%s gives the same rows as any other', async (name, bytes) => {
    const rows = await readRows(name, bytes);
    expect(rows.map(({ ask, given, error }) => error ?? { ...ask, given })).toEqual([
      {
        video: join(folder, 'a.mp4'),
        question: 'What is "it", then?',
        range: { startSeconds: 1.5 },
        frames: 8,
        given: { video: 'a.mp4', question: 'What is "it", then?', answer: 'red' },
      },
      {
        video: join(folder, 'b/c.mp4'),
        question: 'Which?\nThis or that?',
        range: {},
        given: { video: 'b/c.mp4', question: 'Which?\nThis or that?' },
      },
    ]);
    // Other fields are carried through, each row on one line.
    for (const [i, { members }] of rows.entries()) {
      const text = `{${members.map((member) => member.text).join(',')}}`;
      expect(text).not.toContain('\n');
      expect(JSON.parse(text)).toMatchObject({ note: table[i]!.note });
    }
  });

  it('is read as it is told, whatever its name', async () => {
    const [row] = await readRows('rows.txt', separated('\t'), 'tsv');
    expect(row!.given!.answer).toBe('red');
    await expect(readRows('rows.txt', separated(','))).rejects.toThrow(
      /is probably CSV: .*; give --format csv$/,
    );
    await expect(readRows('rows.parquet', 'video,question\n')).rejects.toThrow('expected a Parquet file');
    await expect(readRows('rows.csv', parquet())).rejects.toThrow(
      /expected a CSV file; .* is a Parquet file; give --format parquet$/,
    );
  });

  it('may have bad records among good ones', async () => {
    const csv = await readRows('rows.csv', 'video,question\na.mp4,"one"\nb.mp4\nc.mp4,three\n');
    expect(csv.map(({ error, ask }) => error ?? ask!.question)).toEqual([
      'one',
      'expected 2 values as in the first line, got 1',
      'three',
    ]);
    const json = await readRows('rows.json', '[{"video":"a","question":"one"}, 3, {"video":"b" "c"}, [1,2]]');
    expect(json.map(({ error, ask }) => error ?? ask!.question)).toEqual([
      'one',
      ...Array(3).fill('the line is not a JSON object'),
    ]);
    const deep = `{"video":"a","question":"one","deep":${'['.repeat(20_000)}${']'.repeat(20_000)}}`;
    const [good, ...bad] = await readRows(
      'rows.jsonl',
      Buffer.from(`{"video":"a","question":"one"}\n${deep}\n{"video":"a","question":"caf\xe9"}\n`, 'latin1'),
    );
    expect(good!.error).toBeUndefined();
    expect(bad.map(({ error }) => error)).toEqual([
      'the line is not a JSON object',
      'the line is not text in UTF-8',
    ]);
  });

  it('leaves bytes out, and takes for text what a Parquet file calls bytes', async () => {
    const column = (name: string, ...data: Uint8Array[]) => ({ name, data, type: 'BYTE_ARRAY' as const });
    const picture = Uint8Array.of(0xff, 0xd8, 0xff, 0xe0);
    const bytes = parquetWriteBuffer({
      columnData: [
        column('video', Buffer.from('a.mp4')),
        column('question', Buffer.from('Où ?')),
        column('picture', picture),
      ],
    });
    const [row] = await readRows('rows.parquet', Buffer.from(bytes));
    expect(row!.members.map(({ text }) => text)).toEqual([
      '"video":"a.mp4"',
      '"question":"Où ?"',
      '"picture":null',
    ]);
  });

  it.each([
    ['rows.json', '{"a": 1}', 'expected a JSON array of objects, or an object with one array in it; '],
    ['rows.json', '{"a": [1], "b": [2]}', 'has several'],
    ['rows.json', '[{"video": "a"', 'ends in the middle of its JSON'],
    [
      'rows.json',
      '{"video":"a"}\n{"video":"b"}\n',
      'holds several JSON values: if it is one a line, give --format jsonl',
    ],
    ['rows.json', '[{"video": "a"}]]', 'has more behind its array'],
    ['rows.json', '[{"video": "a"}] and notes', 'has more behind its array'],
    ['rows.json', '{"a": [1]}, 2', 'has more behind its array'],
    ['rows.json', '{"a": [1]]', 'has a "]" where "}" was expected'],
    ['rows.json', '[1}', 'has a "}" where "]" was expected'],
    ['rows.json', 'notes [1]', 'has none'],
    ['rows.csv', 'a,b,a\n', 'two columns are named "a"'],
    ['rows.csv', 'a,b, a\n', 'two columns are named "a"'],
    ['rows.csv', 'a,,b\n', 'column 2 has no name in the first line'],
    ['rows.csv', 'a,b\n"x,y\n', 'cannot read the rows of '],
    ['rows.parquet', 'PAR1 and no more', 'cannot read the rows of '],
    ['rows.csv', Buffer.from('video,question\na,café\n', 'latin1'), 'rows.csv is not text in UTF-8: '],
    ['rows.json', Buffer.from('[{"video":"café"}]', 'latin1'), 'rows.json is not text in UTF-8: '],
    ['rows.csv', Buffer.from('video,question\na,é').subarray(0, -1), 'rows.csv is not text in UTF-8: '],
    ['rows.jsonl', '{"a":1,\r"b":2,\r', 'is something else: its first line is '],
  ])('%s that holds %j is refused', async (name, text, message) => {
    await expect(readRows(name, text)).rejects.toThrow(message);
  });
});

describe('a JSON array in pieces', () => {
  it('is cut into the same elements wherever the pieces end', () => {
    const text = JSON.stringify(
      { a: { b: [1] }.b.length, list: [{ s: 'a\\"],[{ "', n: [1, [2]] }, 1.5, 'x', {}] },
      null,
      1,
    );
    for (let cut = 0; cut <= text.length; cut++) {
      const splitter = new ArraySplitter('rows.json');
      const found = [...splitter.push(text.slice(0, cut)), ...splitter.push(text.slice(cut))];
      splitter.end();
      expect(found).toEqual(['{"s":"a\\\\\\"],[{ \\"","n":[1,[2]]}', '1.5', '"x"', '{}']);
    }
  });
});

describe('a value of a Parquet file', () => {
  it('is JSON in which 64-bit numbers keep their digits', () => {
    const value = {
      a: 9007199254740993n,
      b: [1n, 'x', null],
      c: new Uint8Array(3),
      d: undefined,
      e: new Date(0),
    };
    expect(jsonOf(value)).toBe(
      '{"a":9007199254740993,"b":[1,"x",null],"c":null,"d":null,"e":"1970-01-01T00:00:00.000Z"}',
    );
  });
});

describe('a map of columns', () => {
  it('says which fields mean what', () => {
    const map = parseMap('video=clip name, question=q,options=a0+a1');
    expect(map).toEqual({ video: 'clip name', question: 'q', options: ['a0', 'a1'] });
    const layout = layoutOf({ file: 'rows.csv', folder: '/data', map });
    const fields = {
      'clip name': 'a.mp4',
      q: 'Which?',
      a0: 'red',
      a1: 'blue',
      answer: 'blue',
      category: 'colour',
    };
    expect(parseRow({ text: JSON.stringify(fields) }, 0, layout)).toMatchObject({
      ask: {
        video: '/data/a.mp4',
        question: {
          question: 'Which?',
          options: ['red', 'blue'],
        },
      },
      given: { question: 'Which?', options: ['red', 'blue'], answer: 'B', category: 'colour' },
    });
    expect(parseRow({ text: '{}' }, 0, layout).error).toBe('the row needs `clip name` and `q` as text');
  });

  it.each(['clip', 'colour=x', 'video='])('that is %j is refused', (text) => {
    expect(() => parseMap(text)).toThrow(`expected pairs such as video=clip_name,question=q`);
  });

  it('is refused where it names two columns for one thing', () => {
    expect(() => parseMap('video=a,question=q,video=b')).toThrow(
      'video stands twice in "video=a,question=q,video=b"',
    );
  });
});

describe('the options of a row', () => {
  const read = (fields: object) => {
    const text = JSON.stringify({ video: 'a', question: 'b', ...fields });
    const row = parseRow({ text }, 0, layoutOf({ file: 'rows.jsonl', folder: '/data' }));
    return row.error ?? [row.given!.options, row.given!.answer];
  };

  it.each([
    [{ options: ['A. red', 'B. blue'], answer: 'B' }, [['red', 'blue'], 'B']],
    [{ options: ['(A) red', '(B) blue'], answer: '(b)' }, [['red', 'blue'], 'B']],
    [{ options: ['A. red', 'C. blue'], answer: 'C. blue' }, [['A. red', 'C. blue'], 'B']],
    [{ options: '["red","blue"]', answer: 'red' }, [['red', 'blue'], 'A']],
    [{ options: `['red', "Tom's"]`, answer: "Tom's" }, [['red', "Tom's"], 'B']],
    [{ options: `['red'\n 'light blue']` }, [['red', 'light blue'], undefined]],
    [
      { options: String.raw`['a\xa0cat', 'two\nlines', "\u2028 \U0001f600", 'C:\\new']` },
      [['a\u00a0cat', 'two\nlines', '😀', 'C:\\new'], undefined],
    ],
    [
      { options: "[None, 'red', 'blue']" },
      "the row's options: expected a list of texts, got \"[None, 'red', 'blue']\"",
    ],
    [{ options: [1, 2], answer: 2 }, [['1', '2'], 'B']],
    [{ options: ['red', 'blue'], answer: 'green' }, [['red', 'blue'], 'green']],
    [{ options: { B: 'blue', A: 'red' }, answer: 'B' }, [['red', 'blue'], 'B']],
    [
      { options: Object.fromEntries(Array.from({ length: 11 }, (_, i) => [i, `o${i}`])), answer: 'o10' },
      [Array.from({ length: 11 }, (_, i) => `o${i}`), 'K'],
    ],
    [{ options: ['red', 'blue', null, ''] }, [['red', 'blue'], undefined]],
    [{ options: ['red', null, 'blue'] }, "the row's options: expected texts, got null"],
    [{ options: { A: 'red', B: 'blue', C: null } }, [['red', 'blue'], undefined]],
    [
      { options: { A: 'red', B: '', C: 'blue' } },
      "the row's options: expected them by the letters A, B, …, got A, C",
    ],
    [
      { options: { 1: 'red', 2: 'blue' } },
      "the row's options: expected them by the letters A, B, …, got 1, 2",
    ],
    [{ options: ['B', 'A', 'C'], answer: 'A' }, [['B', 'A', 'C'], 'B']],
    [
      { options: ['red', 'blue', 'black'], answer: ['blue', 'C'] },
      [
        ['red', 'blue', 'black'],
        ['B', 'C'],
      ],
    ],
    [{ options: ['no', 'yes'], answer: true }, [['no', 'yes'], 'B']],
    [{ options: [true, false], answer: false }, [['true', 'false'], 'B']],
    [{ answer: ['car', null, ' truck ', 2] }, [undefined, ['car', 'truck', '2']]],
    [{ answer: false }, [undefined, 'no']],
    [{ answer: [] }, [undefined, undefined]],
    [{ options: [], answer: 'x' }, [undefined, 'x']],
    [{ options: ['red'] }, "the row's options: expected 2 to 26, got 1"],
    [{ options: 'red' }, 'the row\'s options: expected a list of texts, got "red"'],
    [{ options: ['red', {}] }, "the row's options: expected texts, got {}"],
    [{ frames: 0 }, '`frames` of the row: expected a whole number from 1 to 4096, got 0'],
  ])('of %j are %j', (fields, expected) => {
    expect(read(fields)).toEqual(expected);
  });

  it('that are a column each have no gap, by which an answer would mean another one', () => {
    const layout = layoutOf({ file: 'rows.csv', folder: '/data', map: { options: ['a0', 'a1', 'a2'] } });
    const read = (fields: object) =>
      parseRow({ text: JSON.stringify({ video: 'a', question: 'b', ...fields }) }, 0, layout);
    expect(read({ a0: 'red', a1: 'blue', a2: '' }).given!.options).toEqual(['red', 'blue']);
    expect(read({ a0: 'red', a1: '', a2: 'blue' }).error).toBe(
      "the row's options: B is empty, and others follow it",
    );
  });
});
