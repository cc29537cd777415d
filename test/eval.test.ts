import { execFile } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { readQuestions } from '../scripts/clip-files.js';
import { clipSeed, createRandom } from '../scripts/clips/index.js';
import { ask, encodeClip } from '../scripts/eval/ask.js';
import { besideOutcome } from '../scripts/eval/beside.js';
import { bootstrap } from '../scripts/eval/bootstrap.js';
import { practiceRows, wantedClips, worldDigest } from '../scripts/eval/clips.js';
import { containersOutcome } from '../scripts/eval/containers.js';
import {
  averagePool,
  clsAndRandomPicks,
  mergeAlone,
  methods,
  randomPicks,
  uniformPicks,
} from '../scripts/eval/controls.js';
import { curveOutcome, curveSettings } from '../scripts/eval/curve.js';
import { flashOutcome } from '../scripts/eval/flash.js';
import { halfOutcome, throughStore } from '../scripts/eval/half.js';
import { Journal } from '../scripts/eval/journal.js';
import { parseOptions } from '../scripts/eval/options.js';
import { report, writeReport } from '../scripts/eval/report.js';
import {
  accuracy,
  type ClipResult,
  difference,
  percentInterval,
  pointsInterval,
  ratio,
  withChance,
} from '../scripts/eval/results.js';
import { chanceGuess, isRight } from '../scripts/eval/score.js';
import {
  allTokens,
  blind,
  budgetsOf,
  kept,
  loadProjectors,
  shuffled,
  workersProjector,
} from '../scripts/eval/settings.js';
import { mistakesOf, shortOutcome } from '../scripts/eval/short.js';
import { atTimesOf } from '../scripts/eval/short-clips.js';
import { defaultLimits } from '../src/media/open.js';
import { loadModel } from '../src/models/load.js';
import { splitBudget } from '../src/models/split-budget.js';
import type { EncodedFrame } from '../src/models/types.js';
import { answerVideo } from '../src/pipeline/answer.js';
import { noOverTime } from '../src/pipeline/over-time/stages.js';
import { fakeModel } from './fake-model.js';

const folder = mkdtempSync(join(tmpdir(), 'visionzip-eval-test-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** CLS is 100, patch p of `rows` × `columns` has the one number p; all keys are the same. */
function frameOf(rows: number, columns: number, cls = true): EncodedFrame {
  const P = rows * columns;
  const patches = Array.from({ length: P }, (_, p) => p);
  const hidden = Float32Array.from(cls ? [100, ...patches] : patches);
  return {
    ...{ index: 0, ptsSeconds: 0, N: hidden.length, D: 1, K: 1, hidden },
    keys: new Float32Array(hidden.length).fill(1),
    scores: Float32Array.from(patches),
  };
}

const grid = { rows: 4, columns: 4 };

describe('the ways to keep T tokens', () => {
  it('picks the patch in the middle of each of T equal stretches', () => {
    // 16 / 4 = 4: the middles of [0, 4), [4, 8) … lie at 2, 6, 10, 14.
    expect([...uniformPicks(frameOf(4, 4), 4)]).toEqual([2, 6, 10, 14]);
    // 16 / 3 = 5.33: 2.67, 8, 13.33.
    expect([...uniformPicks(frameOf(4, 4, false), 3)]).toEqual([2, 8, 13]);
  });

  it('picks different patches at random, the same for the same seed', () => {
    const pick = (seed: string) => [...randomPicks(frameOf(4, 4), 5, { random: createRandom(seed) })];
    expect(pick('a')).toEqual(pick('a'));
    expect(pick('a')).not.toEqual(pick('b'));
    expect(new Set(pick('a')).size).toBe(5);
    expect(Math.max(...pick('a'))).toBeLessThan(16);
  });

  it('averages cells of the grid', () => {
    // 2 × 2 cells of 2 × 2 patches: the first is (0 + 1 + 4 + 5) / 4.
    expect([...averagePool(frameOf(4, 4), 4, { grid })]).toEqual([2.5, 4.5, 10.5, 12.5]);
    // Round(√3) = 2 bands of two rows, with one cell of 8 patches and two of 4.
    expect([...averagePool(frameOf(4, 4), 3, { grid })]).toEqual([3.5, 10.5, 12.5]);
  });

  it('merges every patch into the target with the most similar key', () => {
    const frame = frameOf(2, 2);
    // Targets are the patches 0 and 2; by their keys 3 joins 0, and 1 joins 2: 0 + 3 and 2 + 1.
    const keys = Float32Array.of(0, 1, 1, 0, 0, 1, 0, 1, 1, 0);
    expect([...mergeAlone({ ...frame, K: 2, keys }, 2)]).toEqual([0, 3].map(() => 3));
    const withoutCls = { ...frameOf(2, 2, false), K: 2, keys: keys.subarray(2) };
    expect([...mergeAlone(withoutCls, 2)]).toEqual([3, 3]);
  });

  it('keeps CLS and the patches with the highest scores where nothing is merged', () => {
    expect([...methods.dominant(frameOf(4, 4), 3)]).toEqual([100, 14, 15]);
  });

  it('keeps CLS before random patches', () => {
    const context = { grid, random: createRandom('') };
    const [first, ...patches] = clsAndRandomPicks(frameOf(4, 4), 4, context);
    expect(first).toBe(100);
    expect(new Set(patches.filter((patch) => patch < 16)).size).toBe(3);
  });

  it('gives exactly T tokens for every T and shape of grid', () => {
    for (const shape of [
      { rows: 12, columns: 12 },
      { rows: 3, columns: 7 },
      { rows: 7, columns: 3 },
    ]) {
      const frame = frameOf(shape.rows, shape.columns);
      for (let T = 1; T <= shape.rows * shape.columns; T++) {
        for (const [name, reduce] of Object.entries(methods)) {
          const tokens = reduce(frame, T, { grid: shape, random: createRandom('') });
          expect(`${name} ${tokens.length}`).toBe(`${name} ${T}`);
          expect(tokens.every(Number.isFinite)).toBe(true);
        }
      }
    }
  });
});

const aboutCircle = 'What colour is the circle?';
const asked = (answer: string, kind = 'colour', toleranceSeconds?: number, question = aboutCircle) => ({
  ...{ video: 'clip-000.mp4', question, answer, kind },
  ...(toleranceSeconds !== undefined && { toleranceSeconds }),
});

describe('scoring', () => {
  it('wants the same words, case and a final full stop aside', () => {
    expect(isRight(asked('red'), ' Red. ')).toBe(true);
    expect(isRight(asked('red'), 'red and blue')).toBe(false);
  });

  it('wants the first number of a time within the tolerance', () => {
    expect(isRight(asked('3.2s', 'when', 0.2), '3.4s')).toBe(true);
    expect(isRight(asked('3.2s', 'when', 0.2), 'at 3 s')).toBe(true);
    expect(isRight(asked('3.2s', 'when', 0.2), '3.5')).toBe(false);
    expect(isRight(asked('3.2s', 'when', 0.2), 'never')).toBe(false);
    expect(isRight(asked('0.1s', 'when', 0.2), '')).toBe(false);
  });

  it('guesses the answer that other clips have most often, of order apart for colours and times', () => {
    const inTime = (answer: string) =>
      asked(answer, 'order', undefined, 'Is that before or after the other?');
    const practice = [
      ...['red', 'red', 'blue'].map((answer) => asked(answer, 'order')),
      ...['after', 'after', 'before', 'before', 'before'].map(inTime),
      ...['yes', 'no', 'no'].map((answer) => asked(answer, 'presence')),
    ];
    const rows = [
      asked('blue', 'order'),
      inTime('after'),
      asked('yes', 'presence'),
      asked('up', 'direction'),
    ];
    expect(rows.map(chanceGuess(practice))).toEqual(['red', 'before', 'no', '']);
  });

  it('guesses the share of the clip at which a time is right most often', () => {
    // 7 and 14 seconds long: from 1.1 / 7 = 0.157 of the length on both times count, at 0.76 the last one alone.
    const practice = [asked('2.1s', 'when', 1), asked('4.2s', 'when', 2), asked('6.3s', 'when', 1)];
    expect(chanceGuess(practice)(asked('9.9s', 'when', 10))).toBe('11.200000s');
  });

  it('practises on clips of the next seed', () => {
    const rows = practiceRows({ seed: 1, count: 1, seconds: [2, 20], extraKind: 'when', chunk: 20 });
    expect([rows[0]!.video, rows.at(-1)!.video]).toEqual([clipSeed(2000, 0), clipSeed(2000, 299)]);
    const times = rows.filter(({ toleranceSeconds }) => toleranceSeconds !== undefined);
    expect(new Set(times.map(({ kind }) => kind))).toEqual(new Set(['when']));
    expect(rows.every(({ kind }) => kind !== 'flash')).toBe(true);
  });
});

/** Two questions a clip, answered as given. */
function resultOf(clip: string, all: string[], zip: string[]): ClipResult {
  const answered = (predictions: string[]) => ({ predictions, frames: 8, ms: 1 });
  return {
    clip,
    rows: [asked('red'), asked('2', 'count')],
    answered: { all: answered(all), 'visionzip 15': answered(zip), blind: answered(['', '']) },
  };
}

const results = [
  resultOf('1/a', ['red', '2'], ['red', '2']),
  resultOf('1/b', ['red', '2'], ['red', '3']),
  resultOf('1/c', ['red', '1'], ['blue', '1']),
];

describe('intervals', () => {
  it('are the same each time, and hold the value', () => {
    const mean = (sample: readonly number[]) => sample.reduce((a, b) => a + b, 0) / sample.length;
    const interval = bootstrap([0, 0, 1, 1], mean);
    expect(interval).toEqual(bootstrap([0, 0, 1, 1], mean));
    // Of four draws none or all are 1 in 1/16 of the cases each, more than 2.5 %.
    expect(interval).toEqual({ value: 0.5, low: 0, high: 1 });
    expect(bootstrap([1, 1, 1], mean)).toEqual({ value: 1, low: 1, high: 1 });
  });

  it('count right answers of all kinds or one', () => {
    const isColour = ({ kind }: { kind: string }) => kind === 'colour';
    expect(accuracy(results, 'all').value).toBeCloseTo(5 / 6);
    expect(accuracy(results, 'all', isColour)).toEqual({ value: 1, low: 1, high: 1 });
    expect(accuracy(results, 'visionzip 15', isColour).value).toBeCloseTo(2 / 3);
  });

  it('compare in pairs: a setting is always all of itself', () => {
    expect(ratio(results, 'all', 'all')).toEqual({ value: 1, low: 1, high: 1 });
    expect(ratio(results, 'visionzip 15', 'all').value).toBeCloseTo(3 / 5);
    expect(difference(results, 'visionzip 15', 'all').value).toBeCloseTo(-2 / 6);
    expect(difference(results, 'all', 'all')).toEqual({ value: 0, low: 0, high: 0 });
  });
});

const { vision } = fakeModel([], { vision: { P: 144, grid: { rows: 12, columns: 12 } } });

const evaluation = {
  ...{ model: fakeModel([], { vision }), tuned: new Map(), seed: 1, frames: undefined, clips: folder },
  signal: new AbortController().signal,
  journal: (part: string) => new Journal(join(folder, `${part}.jsonl`)),
};

/** One clip with 64 questions, all about a red circle but the last; setting i answers the first `right[i]` of them. */
function graded(right: Readonly<Record<string, number>>): ClipResult[] {
  const rows = Array.from({ length: 64 }, (_, i) =>
    asked(i < 63 ? 'red' : 'blue', i % 2 ? 'when' : 'colour'),
  );
  const answered = Object.entries(right).map(([id, count]) => {
    const predictions = rows.map(({ answer }, i) => (i < count ? answer : 'star'));
    return [id, { predictions, frames: 8, ms: 1 }];
  });
  return [{ clip: '1/a', rows, answered: Object.fromEntries(answered) }];
}

/** What a cell holds where there is one clip only. */
const cell = (share: number) => percentInterval({ value: share, low: share, high: share });

describe('the settings', () => {
  const frames = [0, 1, 2].map((index) => {
    const hidden = Float32Array.of(9, 1, 2, 3, 4).map((value) => value + 10 * index);
    return { ...frameOf(2, 2), index, ptsSeconds: index, hidden };
  });
  const rows = [asked('red')];

  it('show all patches in order, T tokens of each, or the same ones in another order', async () => {
    const model = fakeModel([]);
    const shown = async (setting: { show: typeof blind.show }) =>
      (await setting.show(frames, 'clip')).map(({ embeds }) => [...embeds]);
    const all = [1, 11, 21].map((first) => [first, first + 1, first + 2, first + 3]);
    expect(await shown(allTokens(model))).toEqual(all);
    expect(await shown(kept(model, 'uniform', 1))).toEqual([[3], [13], [23]]);
    const mixed = await shown(shuffled(model));
    expect(mixed).not.toEqual(all);
    expect([...mixed].sort((a, b) => a[0]! - b[0]!)).toEqual(all);
    const times = (await shuffled(model).show(frames, 'clip')).map(({ span }) => span.startSeconds);
    expect(times).toEqual([0, 1, 2]);
  });

  it('use the tuned projector only where they say so', async () => {
    const model = fakeModel([]);
    const setting = kept(model, 'dominant', 1, async (tokens) => tokens.map((value) => -value));
    expect(setting.id).toBe('dominant 1 tuned');
    expect([...(await setting.show(frames, ''))[1]!.embeds]).toEqual([-19]);
  });

  it('go through the store as half precision has them', async () => {
    const model = fakeModel([]);
    // Of 0.1 half precision has 1638.5 / 2^14, rounded to even: 1638 / 2^14.
    const tenth = kept(model, 'dominant', 1, async (tokens) => tokens.map(() => 0.1));
    const half = throughStore(tenth, 1);
    expect(half.id).toBe('dominant 1 tuned half');
    const blocks = await half.show(frames, '');
    expect(blocks.map(({ embeds }) => [...embeds])).toEqual(Array(3).fill([1638 / 2 ** 14]));
    const whole = await throughStore(allTokens(model), 1).show(frames, '');
    expect(whole).toEqual(await allTokens(model).show(frames, ''));
  });

  it('put frames of another clip at the times of this one', () => {
    const others = frames.slice(1).map((frame) => ({ ...frame, ptsSeconds: 50 }));
    const shown = atTimesOf(frames, others);
    expect(shown.map(({ index, ptsSeconds }) => [index, ptsSeconds])).toEqual([0, 1, 2].map((i) => [i, i]));
    expect(shown.map(({ hidden }) => hidden[0])).toEqual([19, 29, 19]);
  });

  it('ask VisionZip once where it has dominant tokens alone', () => {
    const model = fakeModel([], { vision });
    const ids = curveSettings({ ...evaluation, model }).map(({ id }) => id);
    // All, and eight methods at five budgets.
    expect(ids).toHaveLength(41);
    expect(ids.filter((id) => id === 'visionzip 3')).toHaveLength(2);
    expect(ids).not.toContain('dominant 3');
    expect(ids).toContain('dominant 7');
    expect(kept(model, 'dominant', 3, async (tokens) => tokens).id).toBe('dominant 3 tuned');
  });

  it('name the projectors that they look for', async () => {
    const wanted = loadProjectors(folder, ['uniform', 'pool'], 1);
    await expect(wanted).rejects.toThrow('none of projector-uniform.onnx, projector-pool.onnx');
  });

  it('ask with and without frames', async () => {
    const model = fakeModel(['red', 'blue']);
    expect(await ask(model, allTokens(model), frames, { id: '', rows })).toMatchObject({
      predictions: ['red'],
    });
    expect(await ask(model, blind, frames, { id: '', rows })).toMatchObject({ predictions: ['blue'] });
    expect(model.calls.filter(({ before }) => before === 0).map(({ S }) => S)).toEqual([3 * 4 + 12, 1]);
  });

  it('must fit into the context', async () => {
    const model = fakeModel(['red'], { contextLength: 80 });
    await expect(ask(model, allTokens(model), frames, { id: '', rows })).rejects.toThrow(/`all` takes \d+/);
  });

  it('keep the shares of 144 patches of any other number', () => {
    expect(budgetsOf({ vision })).toEqual([72, 36, 15, 7, 3]);
    expect(budgetsOf({ vision: { ...vision, P: 576 } })).toEqual([288, 144, 60, 28, 12]);
  });
});

describe('the journal', () => {
  it('goes on after a line that was cut short, and adds settings to a clip', () => {
    const file = join(folder, 'short.jsonl');
    const [first] = results as [ClipResult];
    const { all, blind } = first.answered as Required<typeof first.answered>;
    new Journal(file).add({ ...first, answered: { all: all! } });
    writeFileSync(file, '{"clip":"1/b","rows":[', { flag: 'a' });
    new Journal(file).add({ ...first, answered: { blind: blind! } });
    const journal = new Journal(file);
    expect(journal.get('1/a').answered).toEqual({ all, blind });
    expect(journal.has('1/a', 'blind')).toBe(true);
    expect(journal.has('1/b', 'all')).toBe(false);
  });
});

describe('the tables', () => {
  it('show each kind, and what is left of the uncompressed accuracy', () => {
    const right = {
      ...{ all: 64, 'visionzip 15': 60, 'visionzip 15 tuned': 56, trained: 52, 'random 15': 48 },
      ...{ 'cls-random 15': 44, shuffled: 40, another: 36, blind: 32 },
    };
    // Practice has blue alone: one answer of 64, and the last question is of the kind `when`.
    const practice = [asked('blue'), asked('blue', 'when')];
    const { tables, data } = shortOutcome({ vision }, graded(right), practice);
    expect(tables[0]!.columns).toEqual([
      ...['kind', 'questions', 'all tokens', 'VisionZip 15, untuned', 'VisionZip 15, tuned'],
      ...['VisionZip 15, trained with it', 'random 15', 'CLS + 14 random', 'shuffled'],
      ...['another clip’s frames', 'blind', 'chance'],
    ]);
    const counts = [...Object.values(right), 1];
    const shares = counts.map((count) => cell(count / 64));
    const halves = counts.map((count) => cell(count / 64)).slice(0, -1);
    expect(tables[0]!.rows).toEqual([
      ['all', '64', ...shares],
      ['all but `when`', '32', ...halves, cell(0)],
      ['colour', '32', ...halves, cell(0)],
      ['when', '32', ...halves, cell(1 / 32)],
      ['share of “all tokens”', '', ...shares],
      [
        'points against “all tokens”',
        '',
        ...counts.map((count) => {
          const value = (count - 64) / 64;
          return pointsInterval({ value, low: value, high: value });
        }),
      ],
    ]);
    expect(data).toMatchObject({ clips: 1, settings: [...Object.keys(right), 'chance'] });
  });

  it('leave out the columns of models that there are not', () => {
    const settings = { all: 64, 'visionzip 15': 60, 'random 15': 48 };
    const [table] = shortOutcome({ vision }, graded(settings), []).tables;
    expect(table!.columns.slice(2)).toEqual(['all tokens', 'VisionZip 15, untuned', 'random 15', 'chance']);
    expect(table!.about).not.toContain('Trained with it');
    expect(table!.about).toContain('training/README.md');
  });

  it('have a line for each method, and a second one where its projector is tuned', () => {
    const lines: [name: string, method: string, tuned?: string][] = [
      ['VisionZip', 'visionzip'],
      ['VisionZip, tuned', 'visionzip', ' tuned'],
      ['uniform picks', 'uniform'],
      ['random picks', 'random'],
      ['average pooling', 'pool'],
      ['average pooling, tuned', 'pool', ' tuned'],
      ['merging alone', 'merge'],
      ['dominant alone', 'dominant'],
      ['VisionZip, alike ones suppressed', 'suppressed'],
      ['VisionZip, dominant by coverage', 'coverage'],
    ];
    const budgets = budgetsOf({ vision });
    const right = lines.flatMap(([, method, tuned = ''], line) =>
      budgets.map((T, i): [string, number] => [`${method} ${T}${tuned}`, 5 * line + i]),
    );
    const results = graded({ all: 50, ...Object.fromEntries(right) });
    const { tables } = curveOutcome({ vision }, results, ['visionzip', 'pool']);
    const rowsOver = (whole: number) =>
      lines.map(([name, method, tuned], line) => [
        name,
        ...budgets.map((T, i) => {
          // The two lines are one at 3 tokens: 3 + 0.
          const shared = method === 'dominant' && T === 3 && !tuned;
          return cell((shared ? 4 : 5 * line + i) / whole);
        }),
      ]);
    expect(tables.map(({ rows }) => rows)).toEqual([rowsOver(64), rowsOver(50)]);
    expect(tables[0]!.columns).toContain('7 (4.9 %)');
    expect(tables[0]!.about).toContain('At 3 tokens VisionZip is *dominant alone*.');
  });

  it('count the flashes that were shown, found, named by chance and missed', () => {
    const flash = { question: 'What colour is the flash?', video: '', answer: 'red', kind: 'flash' };
    const clips = (tuned: string) =>
      [
        ['red', true],
        ['None.', false],
        ['red', false],
        ['blue', true],
      ].map(([answer, flashShown], i): ClipResult => {
        const few = { predictions: [answer as string], frames: 10, ms: 1, flashShown: flashShown as boolean };
        const many = { predictions: ['red'], frames: 20 + i, ms: 1, flashShown: true };
        const none = { predictions: ['none'], frames: 30, ms: 1, flashShown: true };
        const others = budgetsOf({ vision }).map((T, i) => [`visionzip ${T}${tuned}`, i === 0 ? many : none]);
        const answered = { all: few, ...Object.fromEntries(others) };
        return { clip: `1/${i}`, rows: [flash], answered };
      });
    const tuned = new Map([['visionzip' as const, async (tokens: Float32Array) => tokens]]);
    const [table] = flashOutcome({ ...evaluation, tuned }, clips(' tuned'), [60, 600]).tables;
    // Without a tuned projector the results are not called tuned.
    expect(flashOutcome(evaluation, clips(''), [60, 600]).tables).toEqual([table]);
    const [all, first, second] = table!.rows as [string[], string[], string[]];
    expect(all.map((text) => text.split(' ')[0])).toEqual([
      ...['144', '10', '1440', '50.0', '25.0', '100.0', '0.0', '25.0', '25.0'],
    ]);
    expect(first.map((text) => text.split(' ')[0])).toEqual([
      ...['72', '21.5', '1548', '100.0', '100.0', '400.0', '+75.0', '0.0', '0.0'],
    ]);
    // Draws without a flash that all tokens found: the ratio has no upper end.
    expect(first[5]).toBe('400.0 (133.3–∞)');
    expect(second.at(-1)).toBe('100.0');
  });

  it('put two models side by side', () => {
    const clips = results.map(({ answered, ...result }) => ({
      ...result,
      answered: { compressed: answered.all!, smaller: { ...answered['visionzip 15']!, ms: 2 } },
    }));
    const [table] = besideOutcome(clips, [
      { name: 'compressed', title: 'a', tokens: 15 },
      { name: 'smaller', title: 'b', tokens: 144 },
    ]).tables;
    expect(table!.rows[0]!.filter((_, i) => i !== 2)).toEqual([
      'a',
      '15',
      '100.0 (100.0–100.0)',
      '1.00',
      '1.00×',
    ]);
    expect(table!.rows[1]!.slice(4)).toEqual(['2.00', '2.00×']);
  });

  it('put the same clips in other files beside the MP4', () => {
    // Two clips of two questions each; in the transport stream one of the four answers is wrong.
    const rows = [asked('red'), asked('2', 'when', 0.5)];
    const right = { predictions: ['red', '2'], frames: 1, ms: 1 };
    const ids = ['clip.mp4', 'broadcast.ts', 'offset.mkv', 'wide.mp4', 'hdr10.mp4'];
    const same = Object.fromEntries(ids.map((id) => [id, right]));
    const clips = ['1/a', '1/b'].map((clip, i) => ({
      ...{ clip, rows },
      answered: { ...same, 'default.ts': i === 0 ? right : { ...right, predictions: ['red', '9'] } },
    }));
    const [table] = containersOutcome(clips).tables;
    expect(table!.rows.map((row) => row.slice(1).map((text) => text.split(' ')[0]))).toEqual([
      ['100.0', '0.0', '100.0'],
      ['75.0', '-25.0', '50.0'],
      ...Array.from({ length: 4 }, () => ['100.0', '0.0', '100.0']),
    ]);
    expect(table!.about).toMatch(/^4 questions on 2 of the short clips/);
  });

  it('put half precision beside single', () => {
    const rows = [asked('red'), asked('2')];
    const of = (...predictions: string[]) => ({ predictions, frames: 1, ms: 1 });
    const clips = ['1/a', '1/b'].map((clip, i) => ({
      ...{ clip, rows },
      // Four questions: three are right in single precision; in half one of those turns wrong.
      answered: {
        all: of('red', i === 0 ? '2' : '3'),
        'all half': of(i === 0 ? 'blue' : 'red', i === 0 ? '2' : '3'),
      },
    }));
    const [table] = halfOutcome(clips, [{ title: 'all', single: 'all', half: 'all half' }]).tables;
    const [row] = table!.rows;
    expect(row!.map((text) => text.split(' ')[0])).toEqual(['all', '75.0', '50.0', '-25.0', '75.0']);
    expect(table!.about).toMatch(/^4 questions on 2 of the short clips/);
  });

  it('name every wrong answer of the settings asked for', () => {
    const rows = mistakesOf(results, ['visionzip 15']);
    expect(rows.map(({ clip, prediction }) => `${clip} ${prediction}`)).toEqual([
      '1/b 3',
      '1/c blue',
      '1/c 1',
    ]);
  });

  it('replace what stands between the markers, and nothing else', () => {
    const file = join(folder, 'results.md');
    writeFileSync(file, 'before\n<!-- eval -->\nold $&\n<!-- /eval -->\nafter\n');
    const table = { title: 'T', about: 'A', columns: ['a', 'b'], rows: [['1', '2']] };
    writeReport(file, report('npm run --silent eval -- --seed 1', 'nano', 1, [table]));
    const text = readFileSync(file, 'utf8');
    expect(text).toMatch(/^before\n<!-- eval -->\n\n`npm run --silent eval -- --seed 1`\n/);
    expect(text).toMatch(/\n\| a \| b \|\n\|---\|---:\|\n\| 1 \| 2 \|\n\n<!-- \/eval -->\nafter\n$/);
    const other = join(folder, 'other.md');
    copyFileSync(new URL('../package.json', import.meta.url), other);
    expect(() => writeReport(other, '')).toThrow('<!-- eval -->');
  });

  it('shows intervals in per cent', () => {
    expect(percentInterval({ value: 0.982, low: 0.975, high: 0.989 })).toBe('98.2 (97.5–98.9)');
  });
});

describe('the command line', () => {
  it('has defaults, and small ones for a quick run', () => {
    expect(parseOptions([], '/r')).toMatchObject({
      ...{ count: 300, curveClips: 80, flashClips: 48, seed: 77 },
      ...{ work: '/r/.cache/eval', model: '/r/models/nano', trained: undefined },
    });
    expect(parseOptions(['--quick', '--count', '9'], '/r')).toMatchObject({ count: 9, curveClips: 2 });
    expect(parseOptions(['--count', '9'], '/r')).toMatchObject({
      ...{ curveClips: 9, besideClips: 9, containerClips: 9 },
    });
    expect([...parseOptions(['--beside', 'x'], '/r').parts]).toEqual(['short', 'curve', 'flash', 'beside']);
  });

  it('takes --json with and without a file', () => {
    expect(parseOptions(['--json'], '/r').json).toBe('-');
    expect(parseOptions(['--json', '--quick'], '/r').json).toBe('-');
    expect(parseOptions(['--json', 'out.json'], '/r').json).toBe('out.json');
  });

  it('is shown without what does not change the figures', () => {
    const { command } = parseOptions(['--seed', '5', '--work', '/tmp/x', '--json', 'f', '--write'], '/r');
    expect(command).toBe('npm run --silent eval -- --seed 5 --write');
  });

  it('refuses what it does not know', () => {
    expect(() => parseOptions(['--parts', 'short,long'], '/r')).toThrow(
      'short, curve, flash, beside, containers',
    );
    expect(() => parseOptions(['--parts', 'beside'], '/r')).toThrow('--beside DIR');
    expect(() => parseOptions(['--count', '0'], '/r')).toThrow('from 1 to 10000');
    expect(() => parseOptions(['--flash-clips', '1001'], '/r')).toThrow('from 1 to 1000,');
    expect(() => parseOptions(['--seed', 'x'], '/r')).toThrow('whole number');
    expect(() => parseOptions(['--nonsense'], '/r')).toThrow('--nonsense');
  });
});

describe('chance', () => {
  it('is a setting like the others', () => {
    const rows = results.flatMap((result) => result.rows);
    expect(accuracy(withChance(results, chanceGuess(rows)), 'chance').value).toBe(1);
  });
});

const nano = fileURLToPath(new URL('../models/nano', import.meta.url));
const scriptOf = (name: string) => fileURLToPath(new URL(`../dist/scripts/${name}.js`, import.meta.url));

/** A script as a process of its own. */
function run(name: string, args: readonly string[]) {
  return new Promise<{ code: number; stdout: string; stderr: string }>((done) => {
    execFile(process.execPath, [scriptOf(name), ...args], (error, stdout, stderr) =>
      done({ code: error ? Number(error.code) : 0, stdout, stderr }),
    );
  });
}

describe('clips', () => {
  const wanted = { seed: 3, count: 3, seconds: [2, 20], extraKind: 'when', chunk: 2 } as const;

  it('that are there already are not made again', async () => {
    const clips = join(folder, 'made');
    for (const [chunk, videos] of [['3000-2', ['a', 'b']] as const, ['3001-1', ['a']] as const]) {
      mkdirSync(join(clips, `${chunk}-2-20s-when`), { recursive: true });
      const rows = videos.map((video) => JSON.stringify({ ...asked('red'), video }));
      writeFileSync(join(clips, `${chunk}-2-20s-when`, 'questions.jsonl'), rows.join('\n'));
    }
    const ids: string[] = [];
    const { signal } = new AbortController();
    for await (const { id } of wantedClips({ clips, signal }, wanted)) ids.push(id);
    expect(ids).toEqual(['3000/a', '3000/b', '3001/a']);
  });

  it('get the answers that a job gets', async () => {
    const out = join(folder, 'job');
    await run('clips', ['--seed', '5', '--count', '1', '--with', 'when', '--out', out]);
    const rows = readQuestions(out);
    const model = await loadModel(nano);
    const { dominant, contextual } = model.defaults.compression;
    expect(splitBudget(dominant + contextual)).toEqual({ dominant, contextual });
    const clip = { id: 'job', file: join(out, rows[0]!.video), rows };
    const setting = kept(model, 'visionzip', dominant + contextual, workersProjector(model));
    const { predictions } = await ask(model, setting, await encodeClip(model, clip), clip);
    const { answers } = await answerVideo(model, {
      ...{ video: clip.file, questions: rows.map(({ question }) => question) },
      ...{
        sampling: { method: 'uniform' as const, frames: model.defaults.frames },
        compression: 'auto',
        overTime: noOverTime,
        generation: {},
        limits: defaultLimits,
      },
    });
    await model.release();
    expect(predictions).toEqual(answers.map(({ answer }) => answer));
  });
});

describe('a run', () => {
  it('goes on where one that was killed stopped', { timeout: 300_000 }, async () => {
    const work = join(folder, 'work');
    const part = join(work, `clips-${worldDigest()}`, '78000-1-2-20s-when.part');
    mkdirSync(part, { recursive: true });
    writeFileSync(join(part, 'clip-000.mp4'), 'cut short');
    const args = ['--parts', 'short', '--count', '1', '--seed', '78', '--trained', nano, '--work', work];
    const first = await run('eval', args);
    expect(first).toMatchObject({ code: 0 });
    expect(first.stderr).toContain(`eval: clips and results so far are in ${work}`);
    expect(first.stdout).toContain('VisionZip 15, trained with it');
    const journals = readdirSync(work).filter((name) => name.endsWith('.jsonl'));
    expect(journals.map((name) => name.split('-')[0])).toEqual(['short', 'trained']);
    for (const name of journals) {
      const text = readFileSync(join(work, name), 'utf8');
      writeFileSync(join(work, name), text.replace(/"predictions":\["[^"]*"/g, '"predictions":["kept"'));
    }
    const second = await run('eval', [...args, '--mistakes']);
    const mistakes = second.stderr.split('\n').filter((line) => line.startsWith('{'));
    const kept = mistakes.map((line) => JSON.parse(line)).filter(({ prediction }) => prediction === 'kept');
    expect(kept.map(({ setting }) => setting)).toEqual(['all', 'visionzip 15', 'visionzip 15 tuned']);
    expect(mistakes.join()).not.toContain('"random 15"');
  });

  it.each([
    [2, ['--nonsense'], '--nonsense'],
    [2, ['--count', 'many'], '`--count` must be a whole number from 1 to 10000, got "many"'],
    [2, ['--parts', 'beside'], '--beside DIR'],
    [1, ['--json', '/nowhere/x.json'], '/nowhere/x.json'],
    [1, ['--model', '/nowhere'], '/nowhere/visionzip.json'],
    [1, ['--trained', '/nowhere'], '/nowhere/visionzip.json'],
    [1, ['--projectors', tmpdir()], 'holds none of projector-uniform.onnx'],
  ])('ends with %i for %j', async (code, args, message) => {
    const ended = await run('eval', [...args, '--work', join(folder, 'bad')]);
    expect(ended).toMatchObject({ code, stdout: '' });
    expect(ended.stderr).toMatch(/^eval: /);
    expect(ended.stderr).toContain(message);
  });
});
