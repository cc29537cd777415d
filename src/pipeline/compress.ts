import type { EncodedFrame, TokenBudget } from '../models/types.js';
import type { CompressedFrame } from './types.js';
import { inverseNorms } from './vectors.js';

export interface CompressOptions {
  /**
   * What a contextual token becomes: `sum` (default, as published) adds the mean of the joined tokens to the
   * target, `mean` takes the average of the target and that mean.
   */
  readonly merge?: 'sum' | 'mean';
  /**
   * Which patches are dominant. `attention` (default): those that get most of it, as published. `suppressed`: one after the
   * other, each taking from the scores of those like it (ID-Selection, arXiv 2604.05601). `coverage`: one after the other,
   * the one that makes the frame's patches, weighted by their scores, most alike to one that is kept (facility location, as
   * in OTT-Vid, arXiv 2605.11803).
   */
  readonly select?: 'attention' | 'suppressed' | 'coverage';
}

/**
 * VisionZip for one frame (arXiv 2412.04467, section 3.2 and appendix A.2).
 *
 * In: hidden (N, D), keys (N, K) averaged over heads, scores (P). P = N − 1 means that token 0 is CLS, which
 * is always kept and counted by `dominant`; P = N means that there is no CLS.
 * Out: tokens (dominant + contextual, D), the dominant ones first, in raster order.
 *
 * Throws a RangeError for a budget the frame cannot give, or arrays whose sizes do not agree.
 */
export function compressFrame(
  frame: EncodedFrame,
  budget: TokenBudget,
  options: CompressOptions = {},
): CompressedFrame {
  checkShapes(frame);
  checkBudget(budget, frame.N);
  const { N, D, hidden } = frame;
  const T = budget.dominant + budget.contextual;

  // 1. Dominant: CLS, and the patches that get the most attention.
  const dominantIndices = selectDominant(frame, budget.dominant, options.select ?? 'attention');

  // 2. Contextual: evenly spaced targets among the rest; every other token joins the most similar one.
  const remaining = complement(dominantIndices, N);
  const contextualMembers = groupByKey(frame, remaining, budget.contextual);

  // 3. Out: the dominant as they are, then each target with what joined it.
  const tokens = new Float32Array(T * D); // (T, D)
  dominantIndices.forEach((row, t) => {
    tokens.set(hidden.subarray(row * D, (row + 1) * D), t * D);
  });
  contextualMembers.forEach((members, c) => {
    const out = tokens.subarray((budget.dominant + c) * D, (budget.dominant + c + 1) * D);
    mergeInto(out, frame, members, options.merge ?? 'sum');
  });
  return {
    index: frame.index,
    ptsSeconds: frame.ptsSeconds,
    T,
    D,
    tokens,
    dominantIndices,
    contextualMembers,
  };
}

/** `none`: the input that the family was trained on, every patch token and, unless `withCls`, not CLS. */
export function keepAll(frame: EncodedFrame, withCls = false): CompressedFrame {
  checkShapes(frame);
  const { N, D } = frame;
  const first = withCls ? 0 : N - frame.scores.length;
  return {
    index: frame.index,
    ptsSeconds: frame.ptsSeconds,
    T: N - first,
    D,
    tokens: frame.hidden.slice(first * D),
    dominantIndices: Array.from({ length: N - first }, (_, patch) => patch + first),
    contextualMembers: [],
  };
}

/** Rows of `hidden`, ascending. A tie goes to the lower index. */
function selectDominant(
  frame: EncodedFrame,
  dominant: number,
  select: NonNullable<CompressOptions['select']>,
): number[] {
  const cls = frame.N - frame.scores.length; // 1 with CLS, else 0
  const rows = pick[select](frame, dominant - cls).map((patch) => patch + cls);
  if (cls === 1) rows.push(0);
  return rows.sort((a, b) => a - b);
}

/** Patches, by each way to choose them. */
const pick = { attention: pickByScore, suppressed: pickSuppressing, coverage: pickCovering };

function pickByScore({ scores }: EncodedFrame, count: number): number[] {
  const byScore = Array.from(scores, (_, patch) => patch);
  return byScore.sort((a, b) => scores[b]! - scores[a]! || a - b).slice(0, count);
}

/** How fast a pick's hold on others falls with the square of their distance. */
const SUPPRESSION = 20;

/** After each pick i the others' scores become S_j − exp(−20 · d²) · S_i, d the cosine distance of their keys. */
function pickSuppressing(frame: EncodedFrame, count: number): number[] {
  const left = Float64Array.from(frame.scores);
  const cosine = keyCosines(frame);
  return pickOneByOne(
    count,
    left.length,
    (patch) => left[patch]!,
    (picked) => {
      const strength = left[picked]!;
      for (let patch = 0; patch < left.length; patch++) {
        left[patch]! -= Math.exp(-SUPPRESSION * (1 - cosine(picked, patch)) ** 2) * strength;
      }
    },
  );
}

/** Each pick j has the largest Σᵢ wᵢ · max(0, cos(i, j) − cᵢ), cᵢ being the best cosine of i with what was picked. */
function pickCovering(frame: EncodedFrame, count: number): number[] {
  const P = frame.scores.length;
  const cosine = keyCosines(frame);
  // (P, P), read over and over.
  const cosines = Float64Array.from({ length: P * P }, (_, ij) => cosine(Math.floor(ij / P), ij % P));
  const covered = new Float64Array(P);
  const gain = (j: number) => {
    let sum = 0;
    for (let i = 0; i < P; i++) {
      const more = cosines[j * P + i]! - covered[i]!;
      if (more > 0) sum += frame.scores[i]! * more;
    }
    return sum;
  };
  return pickOneByOne(count, P, gain, (picked) => {
    for (let i = 0; i < P; i++) covered[i] = Math.max(covered[i]!, cosines[picked * P + i]!);
  });
}

/** The best of what is left, `count` times; a tie goes to the lower one. */
function pickOneByOne(
  count: number,
  among: number,
  worthOf: (candidate: number) => number,
  onPick: (picked: number) => void,
): number[] {
  const picked = new Set<number>();
  while (picked.size < count) {
    let best = -1;
    let bestValue = Number.NEGATIVE_INFINITY;
    for (let candidate = 0; candidate < among; candidate++) {
      if (picked.has(candidate)) continue;
      const value = worthOf(candidate);
      if (best < 0 || value > bestValue) [best, bestValue] = [candidate, value];
    }
    picked.add(best);
    onPick(best);
  }
  return [...picked];
}

/** The cosine of two patches' keys. */
function keyCosines(frame: EncodedFrame): (a: number, b: number) => number {
  const { keys, K, N, scores } = frame;
  const cls = N - scores.length;
  const inverse = inverseNorms(frame.keys, frame.K);
  return (a, b) => {
    const [x, y] = [a + cls, b + cls];
    let dot = 0;
    for (let k = 0; k < K; k++) dot += keys[x * K + k]! * keys[y * K + k]!;
    return dot * inverse[x]! * inverse[y]!;
  };
}

/**
 * The targets are every `max(1, floor(R / contextual))`-th of the R remaining rows. Gives, for each target,
 * the rows that went into it: itself, then those whose keys are most similar to its key, ascending.
 */
function groupByKey(frame: EncodedFrame, remaining: readonly number[], contextual: number): number[][] {
  if (contextual === 0) return [];
  const stride = Math.max(1, Math.floor(remaining.length / contextual));
  const groups = Array.from({ length: contextual }, (_, c) => [remaining[c * stride]!]);
  const targets = groups.map(([target]) => target!);
  const isTarget = new Set(targets);
  const norms = inverseNorms(frame.keys, frame.K);
  for (const row of remaining) {
    if (!isTarget.has(row)) groups[mostSimilar(frame, row, targets, norms)]!.push(row);
  }
  return groups;
}

/** Which of `targets` has the highest cosine similarity of keys with `row`; a tie goes to the first. */
function mostSimilar(
  { keys, K }: EncodedFrame,
  row: number,
  targets: readonly number[],
  norms: Float64Array,
): number {
  let best = 0;
  let bestCosine = -Infinity;
  for (let c = 0; c < targets.length; c++) {
    const target = targets[c]!;
    const a = row * K;
    const b = target * K;
    let dot = 0;
    for (let k = 0; k < K; k++) dot += keys[a + k]! * keys[b + k]!;
    // The row's own norm is the same for every target, yet a zero key must have cosine 0 with all of them.
    const cosine = dot * norms[target]! * norms[row]!;
    if (cosine > bestCosine) {
      bestCosine = cosine;
      best = c;
    }
  }
  return best;
}

/** out = hidden[target] + mean(hidden[others]); a target that nobody joined stays as it is. */
function mergeInto(
  out: Float32Array,
  { hidden, D }: EncodedFrame,
  members: readonly number[],
  merge: 'sum' | 'mean',
): void {
  const [target, ...others] = members;
  const sums = new Float64Array(D);
  for (const row of others) {
    const start = row * D;
    for (let d = 0; d < D; d++) sums[d]! += hidden[start + d]!;
  }
  const count = Math.max(others.length, 1);
  const scale = merge === 'mean' && others.length > 0 ? 0.5 : 1;
  const start = target! * D;
  for (let d = 0; d < D; d++) out[d] = scale * (hidden[start + d]! + sums[d]! / count);
}

/** 0 … N−1 without the rows of an ascending list. */
function complement(ascending: readonly number[], N: number): number[] {
  const taken = new Set(ascending);
  return Array.from({ length: N }, (_, row) => row).filter((row) => !taken.has(row));
}

/** Throws a RangeError that names the numbers. */
export function checkBudget({ dominant, contextual }: TokenBudget, N: number): void {
  if (!Number.isInteger(dominant) || dominant < 1) {
    throw new RangeError(`\`dominant\` must be a whole number of at least 1, got ${dominant}`);
  }
  if (!Number.isInteger(contextual) || contextual < 0) {
    throw new RangeError(`\`contextual\` must be a whole number of at least 0, got ${contextual}`);
  }
  if (dominant + contextual > N) {
    throw new RangeError(`token budget ${dominant} + ${contextual} exceeds the frame's ${N} tokens`);
  }
}

function checkShapes({ N, D, K, hidden, keys, scores }: EncodedFrame): void {
  if (hidden.length !== N * D) {
    throw new RangeError(`\`hidden\` must hold ${N} × ${D} = ${N * D} numbers, got ${hidden.length}`);
  }
  if (keys.length !== N * K) {
    throw new RangeError(`\`keys\` must hold ${N} × ${K} = ${N * K} numbers, got ${keys.length}`);
  }
  if (scores.length !== N && scores.length !== N - 1) {
    throw new RangeError(`\`scores\` must hold ${N} numbers, or ${N - 1} with CLS, got ${scores.length}`);
  }
  const bad = scores.findIndex((score) => Number.isNaN(score));
  if (bad >= 0) throw new RangeError(`\`scores\` must be numbers, the one of patch ${bad} is NaN`);
}
