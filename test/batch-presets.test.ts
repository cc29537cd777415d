import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { layoutOf } from '../src/batch/layout.js';
import { lineOf } from '../src/batch/line.js';
import { presetNames, presetOf } from '../src/batch/presets/index.js';
import { openRows } from '../src/batch/readers/index.js';
import { readRow } from '../src/batch/report/answered-row.js';
import { parseRow, type Row } from '../src/batch/rows.js';
import { textOf } from '../src/pipeline/questions.js';

const folder = fileURLToPath(new URL('fixtures/datasets/', import.meta.url));
const samples = readdirSync(folder);

async function readSample(name: string): Promise<Row[]> {
  const file = folder + samples.find((sample) => sample.startsWith(`${name}.`))!;
  const layout = layoutOf({ file, folder: null, preset: presetOf(name) });
  const rows: Row[] = [];
  for await (const source of (await openRows(file)).rows()) rows.push(parseRow(source, rows.length, layout));
  return rows;
}

/** Video, question, options, right answer and category of each row. */
const expected: Record<string, unknown[][]> = {
  'msvd-qa': [
    ['vid1451', 'what is crossing the picture?', undefined, 'circle', undefined],
    ['vid1452', 'how many squares appear?', undefined, 'two', undefined],
  ],
  'msrvtt-qa': [
    ['video6513', 'what is turning?', undefined, 'star', '14'],
    ['video7010', 'what colour is the background?', undefined, 'red', '3'],
  ],
  'activitynet-qa': [
    ['v_madeup00001', 'is the circle moving', undefined, 'yes', '3'],
    ['v_madeup00001', 'what colour is the circle', undefined, 'blue', '4'],
  ],
  mvbench: [
    [
      'M4DUP.mp4',
      'What happened after the circle stopped?',
      ['The star appeared.', 'The circle vanished.', 'Nothing.'],
      'B',
      'mvbench',
    ],
    [
      'M4DUQ.mp4',
      'What happened before the star turned?',
      ['The square left.', 'The star grew.'],
      'A',
      'mvbench',
    ],
  ],
  'video-mme': [
    ['madeup00001', 'How many circles are there?', ['One.', 'Two.', 'Three.', 'None.'], 'C', 'short'],
    ['madeup00002', 'What appears last?', ['A star.', 'A circle.', 'A square.', 'Nothing.'], 'A', 'long'],
  ],
  'next-qa': [
    [
      '4000000001',
      'why does the circle stop at the wall',
      [
        'it is tired',
        'the star, which is larger, pushes it',
        'to turn',
        'no wall is there',
        'it bounces off',
      ],
      'E',
      'CW',
    ],
    [
      '4000000001',
      'what does the star do after it appears',
      ['turn', 'leave', 'grow', 'vanish', 'stand still'],
      'A',
      'TN',
    ],
  ],
  egoschema: [
    [
      '00000000-0000-4000-8000-000000000001',
      'What is C doing overall?',
      ['C moves circles.', 'C sorts stars.', 'C waits.', 'C paints squares.', 'C leaves.'],
      'B',
      undefined,
    ],
    [
      '00000000-0000-4000-8000-000000000002',
      'Why does C turn?',
      ['To see.', 'To leave.', 'To wait.', 'To rest.', 'To start.'],
      undefined,
      undefined,
    ],
  ],
  mlvu: [
    ['made_up_66.mp4', 'What colour is the large circle?', ['Yellow', 'Red', 'Blue', 'Green'], 'A', 'plotQA'],
    ['made_up_67.mp4', 'Describe what the star does.', undefined, 'It turns.', 'subPlot'],
  ],
  longvideobench: [
    [
      'madeup00001.mp4',
      'Which shape appears after the caption?',
      ['a circle', 'a star', 'a square', 'none'],
      'B',
      '15',
    ],
    ['madeup00002.mp4', 'What is behind the star?', ['a wall', 'a circle'], undefined, '600'],
    ['madeup00003.mp4', 'What turns?', ['a star', 'a wall', 'a circle'], 'C', '60'],
  ],
};

describe('a preset', () => {
  it.each(presetNames)('%s reads its sample', async (name) => {
    const rows = await readSample(name);
    expect(
      rows.map(({ ask, given, error }) => [
        error ?? ask!.video,
        given?.question,
        given?.options,
        given?.answer,
        given?.category,
      ]),
    ).toEqual(expected[name]);
  });

  it.each(presetNames)('%s: what it read reaches the report', async (name) => {
    for (const [i, row] of (await readSample(name)).entries()) {
      const [video, question, options, answer, category] = expected[name]![i]!;
      const report = (prediction: string) => {
        const line = lineOf(row, { status: 'completed', prediction }, 'digest');
        return readRow(1, JSON.parse(line))!;
      };
      expect(report(String(answer))).toMatchObject({
        ...{ video, question, options: options ?? null, category: category ?? null, answer: answer ?? null },
        right: answer === undefined ? null : true,
      });
      if (answer !== undefined) expect(report(options ? 'D' : 'else').right).toBe(false);
    }
  });

  it('gives way to a field that the report is told to read', async () => {
    const [row] = await readSample('longvideobench');
    const line = JSON.parse(lineOf(row!, { status: 'completed', prediction: 'A' }, 'digest'));
    const told = readRow(
      1,
      { ...line, gold: 'a circle', topic: 't' },
      { answer: ['gold'], category: ['topic'] },
    );
    expect(told).toMatchObject({ right: true, category: 't', options: expected.longvideobench![0]![2] });
  });

  it('asks for what the benchmark asks for, and for a letter only where there are options', async () => {
    const question = async (name: string, row = 0) => textOf((await readSample(name))[row]!.ask!.question);
    expect(await question('msvd-qa')).toBe(
      'what is crossing the picture?\nAnswer the question using a single word or phrase.',
    );
    expect((await question('video-mme')).split('\n').slice(1)).toEqual([
      'How many circles are there?',
      ...['A. One.', 'B. Two.', 'C. Three.', 'D. None.'],
      'The best answer is:',
    ]);
    for (const name of ['mlvu', 'mvbench']) {
      const [before, asked, heading, first, ...rest] = (await question(name)).split('\n');
      expect(before).toMatch(/^Carefully watch th.* accurately addresses the question\.$/);
      expect([asked, heading]).toEqual([expect.stringMatching(/^Question: What /), 'Options:']);
      expect(first).toMatch(/^\(A\) (Yellow|The star appeared\.)$/);
      expect(rest.at(-1)).toBe('Only give the best option.');
    }
    expect(await question('activitynet-qa')).toBe(
      'Is the circle moving?\nAnswer the question using a single word or phrase.',
    );
    for (const name of ['next-qa', 'egoschema', 'longvideobench'])
      expect((await question(name)).split('\n').at(-1)).toBe(
        "Answer with the option's letter from the given choices directly.",
      );
    expect(await question('mlvu', 1)).toBe('Describe what the star does.');
  });

  it('takes the part of the video that a row is about', async () => {
    const rows = await readSample('mvbench');
    expect(rows.map(({ ask }) => ask!.range)).toEqual([{ startSeconds: 11.1, endSeconds: 23.7 }, {}]);
  });

  it('is documented, with a sample', () => {
    const text = readFileSync(new URL('../docs/datasets.md', import.meta.url), 'utf8');
    for (const name of presetNames) {
      expect(text).toContain(`\`${name}\``);
      expect(
        samples.some((sample) => sample.startsWith(`${name}.`)),
        name,
      ).toBe(true);
    }
  });
});
