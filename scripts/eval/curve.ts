import type { Model } from '../../src/models/types.js';
import type { Table } from '../bench/table.js';
import type { Interval } from './bootstrap.js';
import type { Method } from './controls.js';
import type { Evaluation, PartOutcome } from './evaluation.js';
import { accuracy, type ClipResult, percent, percentInterval, ratio } from './results.js';
import { allTokens, budgetsOf, isDominantOnly, kept, keptId, type Setting, untuned } from './settings.js';

const names = {
  visionzip: 'VisionZip',
  uniform: 'uniform picks',
  random: 'random picks',
  pool: 'average pooling',
  merge: 'merging alone',
  dominant: 'dominant alone',
  suppressed: 'VisionZip, alike ones suppressed',
  coverage: 'VisionZip, dominant by coverage',
} as const satisfies Partial<Record<Method, string>>;

type CurveMethod = keyof typeof names;

export const curveMethods = Object.keys(names) as CurveMethod[];

/** All methods at all budgets, and all tokens. */
export function curveSettings({ model, tuned }: Evaluation): Setting[] {
  const lines = linesOf([...tuned.keys()]);
  return [
    allTokens(model),
    ...lines.flatMap(({ method, isTuned }) =>
      budgetsOf(model).map((T) => kept(model, method, T, isTuned ? tuned.get(method) : undefined)),
    ),
  ];
}

/** A method, untuned or with the projector tuned for it. */
interface Line {
  readonly method: CurveMethod;
  readonly isTuned: boolean;
}

interface CurvePoint {
  readonly tokens: number;
  /** Of the patches. */
  readonly share: number;
  readonly accuracy: Interval;
  /** To all tokens. */
  readonly ratio: Interval;
}

/** VisionZip first, each method's tuned line after its own. */
function linesOf(tuned: readonly Method[]): Line[] {
  return curveMethods.flatMap((method) => [
    { method, isTuned: false },
    ...(tuned.includes(method) ? [{ method, isTuned: true }] : []),
  ]);
}

/** Right answers against the tokens that are kept of a frame. */
export function curveOutcome(
  model: Pick<Model, 'vision'>,
  results: readonly ClipResult[],
  tuned: readonly Method[],
): PartOutcome {
  const lines = linesOf(tuned).map((line) => ({
    ...line,
    name: `${names[line.method]}${line.isTuned ? ', tuned' : ''}`,
    points: budgetsOf(model).map((tokens) => pointOf(model, results, line, tokens)),
  }));
  const all = accuracy(results, 'all');
  const clips = `${results.length} of the short clips; per cent, 95 % intervals`;
  const table = (title: string, about: string, value: (point: CurvePoint) => Interval): Table => ({
    title,
    about,
    columns: ['kept of a frame', ...lines[0]!.points.map((point) => titleOf(point))],
    rows: lines.map(({ name, points }) => [name, ...points.map((point) => percentInterval(value(point)))]),
  });
  return {
    tables: [
      table(
        'Right answers against tokens kept',
        `${clips}. With all ${model.vision.P} tokens: ${percentInterval(all)}. ${aboutMethods(model)}`,
        ({ accuracy }) => accuracy,
      ),
      table('The same as a share of “all tokens”', `${clips}, in pairs, clip by clip.`, ({ ratio }) => ratio),
    ],
    data: { clips: results.length, all, lines },
  };
}

function aboutMethods(model: Pick<Model, 'vision'>): string {
  const same = budgetsOf(model).filter(isDominantOnly);
  const alike = same.length > 0 ? ` At ${same.join(' and ')} tokens VisionZip is *dominant alone*.` : '';
  return (
    `Lines that are not *tuned* are untuned. ${untuned} VisionZip’s and *dominant alone* hold the CLS token, ` +
    `the others patches only.${alike} *Alike ones suppressed*: after ID-Selection (arXiv 2604.05601); *by coverage*: after ` +
    'OTT-Vid (2605.11803).'
  );
}

function pointOf(
  { vision: { P } }: Pick<Model, 'vision'>,
  results: readonly ClipResult[],
  { method, isTuned }: Line,
  tokens: number,
): CurvePoint {
  const id = keptId(method, tokens, isTuned);
  return { tokens, share: tokens / P, accuracy: accuracy(results, id), ratio: ratio(results, id, 'all') };
}

function titleOf({ tokens, share }: CurvePoint): string {
  return `${tokens} (${percent(share)} %)`;
}
