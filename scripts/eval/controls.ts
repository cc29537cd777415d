import { splitBudget } from '../../src/models/split-budget.js';
import type { EncodedFrame } from '../../src/models/types.js';
import { compressFrame } from '../../src/pipeline/compress.js';
import type { Random } from '../clips/index.js';

/** What a control may know besides the frame. */
interface ControlContext {
  /** Of the tower's patches. */
  readonly grid: { readonly rows: number; readonly columns: number };
  /** A source of its own for each frame. */
  readonly random: Random;
}

/** EncodedFrame → (T, D). */
type Reduce = (frame: EncodedFrame, T: number, context: ControlContext) => Float32Array;

/**
 * VisionZip and what it is compared with, each at exactly T tokens a frame. VisionZip, `dominant` and `cls-random`
 * count CLS among them, as the paper does; the others take patches only.
 */
export const methods = {
  visionzip: (frame, T) => compressFrame(frame, splitBudget(T)).tokens,
  uniform: uniformPicks,
  random: randomPicks,
  pool: averagePool,
  merge: mergeAlone,
  dominant: (frame, T) => compressFrame(frame, { dominant: T, contextual: 0 }).tokens,
  suppressed: (frame, T) => compressFrame(frame, splitBudget(T), { select: 'suppressed' }).tokens,
  coverage: (frame, T) => compressFrame(frame, splitBudget(T), { select: 'coverage' }).tokens,
  'cls-random': clsAndRandomPicks,
} as const satisfies Record<string, Reduce>;

export type Method = keyof typeof methods;

/** The patch in the middle of each of T equal stretches in raster order. */
export function uniformPicks(frame: EncodedFrame, T: number): Float32Array {
  const P = frame.scores.length;
  return takePatches(
    frame,
    Array.from({ length: T }, (_, t) => Math.floor(((t + 0.5) * P) / T)),
  );
}

/** T different patches, each as likely as any other, in raster order. */
export function randomPicks(
  frame: EncodedFrame,
  T: number,
  { random }: Pick<ControlContext, 'random'>,
): Float32Array {
  const patches = random.shuffle(Array.from(frame.scores, (_, patch) => patch)).slice(0, T);
  return takePatches(
    frame,
    patches.sort((a, b) => a - b),
  );
}

/** CLS, where the tower has it, and random patches: what VisionZip is apart from its choice. */
export function clsAndRandomPicks(
  frame: EncodedFrame,
  T: number,
  context: Pick<ControlContext, 'random'>,
): Float32Array {
  const cls = frame.hidden.subarray(0, (frame.N - frame.scores.length) * frame.D);
  return Float32Array.from([...cls, ...randomPicks(frame, T - cls.length / frame.D, context)]);
}

/**
 * The means of T cells that tile the grid. The rows are cut into about √T bands of equal height, and the T cells are
 * dealt out over the bands as evenly as can be: 36 of 12 × 12 patches are 6 × 6 cells, 7 are bands of 2, 2 and 3.
 */
export function averagePool(
  frame: EncodedFrame,
  T: number,
  { grid: { rows, columns } }: Pick<ControlContext, 'grid'>,
): Float32Array {
  const bands = Math.max(Math.ceil(T / columns), Math.min(rows, Math.round(Math.sqrt((T * rows) / columns))));
  const cells: number[][] = [];
  for (const [band, [top, bottom]] of cut(rows, bands).entries()) {
    const [first, end] = cut(T, bands)[band]!;
    for (const [left, right] of cut(columns, end - first)) {
      cells.push(range(top, bottom).flatMap((row) => range(row * columns + left, row * columns + right)));
    }
  }
  return meanOfPatches(frame, cells);
}

/** VisionZip's contextual tokens alone: all patches remain, every floor(P / T)-th of them is a target. */
export function mergeAlone(frame: EncodedFrame, T: number): Float32Array {
  // CLS is always dominant: with one dominant token no patch is, and CLS is then dropped.
  return compressFrame(withCls(frame), { dominant: 1, contextual: T }).tokens.subarray(frame.D);
}

/** The frame, with an empty CLS token where the tower has none. */
function withCls(frame: EncodedFrame): EncodedFrame {
  const { N, D, K, hidden, keys, scores } = frame;
  if (N > scores.length) return frame;
  return { ...frame, N: N + 1, hidden: after(D, hidden), keys: after(K, keys) };
}

function after(zeros: number, values: Float32Array): Float32Array {
  const longer = new Float32Array(zeros + values.length);
  longer.set(values, zeros);
  return longer;
}

function takePatches(frame: EncodedFrame, patches: readonly number[]): Float32Array {
  return meanOfPatches(
    frame,
    patches.map((patch) => [patch]),
  );
}

/** One token for each list of patches, their mean: (T, D). */
function meanOfPatches(
  { N, D, hidden, scores }: EncodedFrame,
  cells: readonly (readonly number[])[],
): Float32Array {
  const cls = N - scores.length;
  const tokens = new Float32Array(cells.length * D);
  cells.forEach((patches, t) => {
    for (const patch of patches) {
      for (let d = 0; d < D; d++) tokens[t * D + d]! += hidden[(patch + cls) * D + d]! / patches.length;
    }
  });
  return tokens;
}

/** 0 … length in `parts` stretches [from, to), as even as whole numbers can be. */
function cut(length: number, parts: number): [number, number][] {
  const at = (part: number) => Math.floor((part * length) / parts);
  return Array.from({ length: parts }, (_, part) => [at(part), at(part + 1)]);
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}
