import { splitBudget } from '../../src/models/split-budget.js';
import type { EncodedFrame, Model } from '../../src/models/types.js';
import { framesTogether } from '../../src/pipeline/over-time/compress-frames.js';
import { noOverTime, stagesOf } from '../../src/pipeline/over-time/stages.js';
import { StageClock } from '../../src/pipeline/timings.js';
import { makeTokensTogether } from '../../src/pipeline/tokens.js';
import type { OverTime, TokenBlock } from '../../src/pipeline/types.js';
import type { Table } from '../bench/table.js';
import { ask, encodeClip } from './ask.js';
import { type Evaluation, forEachClip, type PartOutcome } from './evaluation.js';
import { type Answered, accuracy, type ClipResult, percent, percentInterval, ratio } from './results.js';
import { allTokens, budgetsOf, kept, type Setting } from './settings.js';

/** Frames of a clip, all of whose tokens fit into the context. */
const FRAMES = 16;
const SECONDS = [8, 60] as const;

/** VisionZip's tokens of all frames with stages over time. The names are those of the table. */
const stages = {
  'VisionZip, each frame for itself': {},
  'static windows': { windows: 'merge' },
  'budget by novelty': { budget: 'novelty' },
  'sinks weakened': { sinks: 'weaken' },
  'alike ones suppressed': { dominant: 'suppressed' },
  'dominant by coverage': { dominant: 'coverage' },
  'merged over the clip': { merging: 'clip' },
  'windows and novelty': { windows: 'merge', budget: 'novelty' },
  'windows and coverage': { windows: 'merge', dominant: 'coverage' },
  'windows, novelty and coverage': { windows: 'merge', budget: 'novelty', dominant: 'coverage' },
  'all of them': { windows: 'merge', budget: 'novelty', sinks: 'weaken', dominant: 'coverage' },
} as const satisfies Record<string, OverTime>;

/** What spends as many tokens without VisionZip. */
const baselines = {
  'fewer frames, evenly, all tokens': (model, T) => someFrames(model, T, evenly),
  'the last frames, all tokens': (model, T) => someFrames(model, T, (frames, count) => frames.slice(-count)),
  'all frames at a lower resolution': (model, T) => ({ ...kept(model, 'pool', T), id: `pool ${T}` }),
} as const satisfies Record<string, (model: Model, T: number) => Setting>;

interface Line {
  readonly name: string;
  settingAt(model: Model, T: number): Setting;
}

const lines: readonly Line[] = [
  ...Object.entries(stages).map(([name, overTime]) => ({
    name,
    settingAt: (model: Model, T: number) => withStages(model, T, name, overTime),
  })),
  ...Object.entries(baselines).map(([name, settingAt]) => ({ name, settingAt })),
];

/** As the pipeline makes them, `T` tokens a frame on average. */
function withStages(model: Model, T: number, name: string, overTime: OverTime): Setting {
  return {
    id: `${name} ${T}`,
    show: async (frames) => {
      const blocks: TokenBlock[] = [];
      for (let start = 0; start < frames.length; start += framesTogether) {
        const group = frames.slice(start, start + framesTogether);
        const pairs = group.map((frame) => ({ frame: { ...frame, width: 0, height: 0 }, encoded: [frame] }));
        const stages = { ...noOverTime, ...overTime };
        blocks.push(...(await makeTokensTogether(model, pairs, splitBudget(T), stages, new StageClock())));
      }
      return blocks.filter((block) => block.T > 0);
    },
  };
}

type Choose = (frames: readonly EncodedFrame[], count: number) => readonly EncodedFrame[];

function someFrames(model: Model, T: number, choose: Choose): Setting {
  const { show } = allTokens(model);
  return {
    id: `${choose.name || 'last'} ${T}`,
    show: (frames, seed) =>
      show(choose(frames, Math.max(1, Math.round((frames.length * T) / model.vision.P))), seed),
  };
}

function evenly(frames: readonly EncodedFrame[], count: number): EncodedFrame[] {
  if (count === 1) return [frames[0]!];
  const step = (frames.length - 1) / (count - 1);
  return Array.from({ length: count }, (_, i) => frames[Math.floor(i * step)]!);
}

function budgets(model: Model): number[] {
  return budgetsOf(model).slice(1);
}

/** Stages over time at equal tokens, on clips in which all tokens fit. */
export async function evaluateOverTime(evaluation: Evaluation, count: number): Promise<PartOutcome> {
  const { model } = evaluation;
  const settings = [
    allTokens(model),
    ...lines.flatMap(({ settingAt }) => budgets(model).map((T) => settingAt(model, T))),
  ];
  const wanted = { seed: evaluation.seed, count, seconds: SECONDS, extraKind: 'when', chunk: 10 } as const;
  const journal = evaluation.journal('over-time', { FRAMES, wanted, stages });
  const results: ClipResult[] = [];
  await forEachClip(evaluation, 'over time', wanted, async (clip) => {
    const missing = settings.filter(({ id }) => !journal.has(clip.id, id));
    if (missing.length > 0) {
      const frames = await encodeClip(model, clip, FRAMES);
      const answered: Record<string, Answered> = {};
      for (const setting of missing) answered[setting.id] = await ask(model, setting, frames, clip);
      journal.add({ clip: clip.id, rows: clip.rows, answered });
    }
    results.push(journal.get(clip.id));
  });
  return { tables: [tableOf(model, results)], data: dataOf(model, results) };
}

function dataOf(model: Model, results: readonly ClipResult[]) {
  return {
    clips: results.length,
    frames: FRAMES,
    all: accuracy(results, 'all'),
    lines: lines.map(({ name, settingAt }) => ({
      name,
      points: budgets(model).map((T) => {
        const { id } = settingAt(model, T);
        const share = T / model.vision.P;
        return { tokens: T, share, accuracy: accuracy(results, id), ratio: ratio(results, id, 'all') };
      }),
    })),
  };
}

function tableOf(model: Model, results: readonly ClipResult[]): Table {
  const { all, lines: rows, clips } = dataOf(model, results);
  const isDefault = (name: string, share: number) => {
    const overTime = { ...noOverTime, ...stages[name as keyof typeof stages], duplicates: 'drop' };
    return name in stages && JSON.stringify(overTime) === JSON.stringify(stagesOf({}, share));
  };
  const cell = (name: string, { share, accuracy: value, ratio: of }: (typeof rows)[0]['points'][0]) =>
    `${percentInterval(of)}, right ${percent(value.value)}${isDefault(name, share) ? ' *' : ''}`;
  return {
    title: 'The same tokens over time',
    about:
      `${clips} clips of ${SECONDS.join(' to ')} seconds, ${FRAMES} frames evenly, all kinds of questions. Right answers as a share of those ` +
      `with all ${model.vision.P} tokens of each frame, which are ${percentInterval(all)} per cent right; 95 % intervals, in pairs, clip by clip. ` +
      'Every line has the same number of tokens, but where whole frames cannot make it up. A star is the default at so many tokens.',
    columns: [
      'tokens a frame',
      ...rows[0]!.points.map(({ tokens, share }) => `${tokens} (${percent(share)} %)`),
    ],
    rows: rows.map(({ name, points }) => [name, ...points.map((point) => cell(name, point))]),
  };
}
