import type { ClipRow } from '../clip-files.js';
import { bootstrap, type Interval } from './bootstrap.js';
import { isRight } from './score.js';

/** What one setting answered on one clip. */
export interface Answered {
  /** In the order of the questions. */
  readonly predictions: readonly string[];
  readonly frames: number;
  /** From the clip's encoded frames to the last answer. */
  readonly ms: number;
  /** Whether a frame showed the flash that was asked for; where none did, no answer counts as right. */
  readonly flashShown?: boolean;
}

/** All that was asked and answered on one clip. */
export interface ClipResult {
  /** Name of the clip, the same in every run with the same seed. */
  readonly clip: string;
  readonly rows: readonly ClipRow[];
  /** By the id of the setting. */
  readonly answered: Readonly<Record<string, Answered>>;
}

/** Which questions count. */
export type Which = (row: ClipRow) => boolean;

const every: Which = () => true;

/** Adds the setting `chance`. */
export function withChance(results: readonly ClipResult[], guess: (row: ClipRow) => string): ClipResult[] {
  return results.map((result) => {
    const chance = { predictions: result.rows.map(guess), frames: 0, ms: 0 };
    return { ...result, answered: { ...result.answered, chance } };
  });
}

/** Share of right answers. */
export function accuracy(results: readonly ClipResult[], setting: string, which = every): Interval {
  const clips = results.map(({ rows, answered }) => ({
    right: rightOf(rows, answered[setting]!, which),
    asked: rows.filter(which).length,
  }));
  return bootstrap(clips, (sample) => sum(sample, ({ right }) => right) / sum(sample, ({ asked }) => asked));
}

/** Right answers of a setting as a share of those of another one, on the same questions. */
export function ratio(results: readonly ClipResult[], setting: string, base: string): Interval {
  const pairs = pairsOf(results, setting, base);
  return bootstrap(pairs, (sample) => sum(sample, ({ right }) => right) / sum(sample, ({ based }) => based));
}

/** The share of right answers of a setting less that of another one, on the same questions. */
export function difference(results: readonly ClipResult[], setting: string, base: string): Interval {
  const pairs = pairsOf(results, setting, base);
  return bootstrap(
    pairs,
    (sample) => sum(sample, ({ right, based }) => right - based) / sum(sample, ({ asked }) => asked),
  );
}

function pairsOf(results: readonly ClipResult[], setting: string, base: string) {
  return results.map(({ rows, answered }) => ({
    right: rightOf(rows, answered[setting]!),
    based: rightOf(rows, answered[base]!),
    asked: rows.length,
  }));
}

function rightOf(rows: readonly ClipRow[], { predictions, flashShown }: Answered, which = every): number {
  if (flashShown === false) return 0;
  return rows.filter((row, i) => which(row) && isRight(row, predictions[i]!)).length;
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}

/** Share of the questions that two settings answer alike. */
export function sameAnswers(results: readonly ClipResult[], a: string, b: string): number {
  const pairs = results.flatMap(({ answered }) =>
    answered[a]!.predictions.map((prediction, i) => prediction === answered[b]!.predictions[i]),
  );
  return pairs.filter(Boolean).length / pairs.length;
}

/** `98.2 (97.5–98.9)`, in per cent. */
export function percentInterval({ value, low, high }: Interval): string {
  return `${percent(value)} (${percent(low)}–${percent(high)})`;
}

/** `-3.1 (-5.2 to +0.4)`, in points. */
export function pointsInterval({ value, low, high }: Interval): string {
  return `${points(value)} (${points(low)} to ${points(high)})`;
}

/** `∞` and `?` where what is compared with has no right answer. */
export function percent(share: number): string {
  if (Number.isNaN(share)) return '?';
  return Number.isFinite(share) ? (100 * share).toFixed(1) : '∞';
}

function points(share: number): string {
  const one = { minimumFractionDigits: 1, maximumFractionDigits: 1 };
  return (100 * share).toLocaleString('en', { ...one, signDisplay: 'exceptZero' });
}
