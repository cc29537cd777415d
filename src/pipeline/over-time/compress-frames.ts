import { splitBudget } from '../../models/split-budget.js';
import type { EncodedFrame, TokenBudget } from '../../models/types.js';
import { compressFrame } from '../compress.js';
import type { CompressedFrame, FrameReach, OverTimeStages } from '../types.js';
import { mergeClipWide } from './clip-wide.js';
import { roundTogether, shareByNovelty } from './novelty.js';
import { weakenSinks } from './sinks.js';
import { findStaticWindows, type StaticWindow } from './windows.js';

/**
 * Frames that are compressed together: what repeats is looked for among them, and no more are held, however long the
 * clip.
 */
export const framesTogether = 16;

/**
 * VisionZip on frames in a row, with the stages that look from frame to frame. Together they get as many tokens as with
 * the budget each, or fewer; one may get more than another, or none. Frames of which no stage is on are compressed each
 * for itself, as published.
 *
 * @param frames at most `framesTogether`, of one size.
 */
export function compressFrames(
  frames: readonly EncodedFrame[],
  budget: TokenBudget,
  stages: OverTimeStages,
): CompressedFrame[] {
  if (stages.merging === 'clip') return compressClipWide(frames, budget);
  const weighed =
    stages.sinks === 'weaken' ? withScores(frames, weakenSinks(frames, budget.dominant)) : frames;
  const each = budget.dominant + budget.contextual;
  const bounds = { least: Math.min(LEAST, each), most: frames[0]!.N };
  const shares =
    stages.budget === 'novelty'
      ? shareByNovelty(frames, each * frames.length, bounds)
      : frames.map(() => each);
  const compress = (frame: EncodedFrame, tokens: number) =>
    compressFrame(frame, splitLike(budget, tokens), { select: stages.dominant });
  if (stages.windows === 'keep') return weighed.map((frame, i) => compress(frame, shares[i]!));
  return findStaticWindows(frames).flatMap((window) => compressWindow(weighed, window, shares, compress));
}

/** Of a budget by novelty every frame gets so many tokens. */
const LEAST = 2;

function withScores(frames: readonly EncodedFrame[], scores: readonly Float32Array[]): EncodedFrame[] {
  return frames.map((frame, i) => ({ ...frame, scores: scores[i]! }));
}

/** The budget itself, or as the paper splits so many tokens; none are contextual where the budget has none. */
function splitLike(budget: TokenBudget, tokens: number): TokenBudget {
  const whole = budget.dominant + budget.contextual;
  if (tokens === whole) return budget;
  if (budget.contextual === 0 || tokens === 1) return { dominant: tokens, contextual: 0 };
  return splitBudget(tokens);
}

type Compress = (frame: EncodedFrame, tokens: number) => CompressedFrame;

/**
 * The first frame of a window shows everything, what is static as its mean over the window; the others show what is not.
 * Each gets tokens in proportion to its patches, beside one of its own.
 */
function compressWindow(
  frames: readonly EncodedFrame[],
  { first, end, isStatic }: StaticWindow,
  shares: readonly number[],
  compress: Compress,
): CompressedFrame[] {
  const own = frames.slice(first, end);
  if (own.length === 1) return [compress(own[0]!, shares[first]!)];
  const total = shares.slice(first, end).reduce((sum, share) => sum + share, 0);
  const still = isStatic.reduce((sum, one) => sum + one, 0);
  const cls = own[0]!.N - isStatic.length;
  const patches = own.map((_, i) => (i === 0 ? isStatic.length : isStatic.length - still));
  const all = patches.reduce((sum, one) => sum + one, 0);
  const free = Math.max(0, total - cls * own.length);
  const wanted = patches.map((one) => Math.min(one, (free * one) / all));
  const tokens = roundTogether(wanted).map((one) => one + cls);
  const whole = { first: own[0]!.index, last: own.at(-1)!.index };
  return own.map((frame, i) => {
    if (i > 0) return compressMoving(frame, isStatic, tokens[i]!, compress);
    const merged = compress(averageStatic(own, isStatic), Math.max(1, tokens[i]!));
    return { ...merged, reach: reachOf(merged, isStatic, cls, whole) };
  });
}

/** The window's first frame, with the mean of each static patch's tokens, keys and scores. */
function averageStatic(frames: readonly EncodedFrame[], isStatic: Uint8Array): EncodedFrame {
  const [first] = frames as [EncodedFrame];
  const { N, D, K } = first;
  const cls = N - isStatic.length;
  const average = (arrays: readonly Float32Array[], width: number, skip: number): Float32Array =>
    arrays[0]!.map((value, i) => {
      const patch = Math.floor(i / width) - skip;
      if (patch < 0 || isStatic[patch] === 0) return value;
      return arrays.reduce((sum, array) => sum + array[i]!, 0) / arrays.length;
    });
  return {
    ...first,
    hidden: average(
      frames.map(({ hidden }) => hidden),
      D,
      cls,
    ),
    keys: average(
      frames.map(({ keys }) => keys),
      K,
      cls,
    ),
    scores: average(
      frames.map(({ scores }) => scores),
      1,
      0,
    ),
  };
}

/** Static patches that were kept as they are stand for the whole window. */
function reachOf(
  { T, dominantIndices, index }: CompressedFrame,
  isStatic: Uint8Array,
  cls: number,
  window: FrameReach,
): FrameReach[] {
  const own = { first: index, last: index };
  return Array.from({ length: T }, (_, t) => {
    const row = dominantIndices[t];
    return row !== undefined && row >= cls && isStatic[row - cls] === 1 ? window : own;
  });
}

/** VisionZip on CLS and the patches that are not static. */
function compressMoving(
  frame: EncodedFrame,
  isStatic: Uint8Array,
  tokens: number,
  compress: Compress,
): CompressedFrame {
  const { N, D, K } = frame;
  const cls = N - isStatic.length;
  const rows = Array.from({ length: N }, (_, row) => row).filter(
    (row) => row < cls || isStatic[row - cls] === 0,
  );
  const standIns = N - rows.length;
  if (tokens === 0) return { ...nothingOf(frame), standIns };
  const pick = (values: Float32Array, width: number) => {
    const picked = new Float32Array(rows.length * width);
    rows.forEach((row, i) => {
      picked.set(values.subarray(row * width, (row + 1) * width), i * width);
    });
    return picked;
  };
  const part = compress(
    {
      ...frame,
      N: rows.length,
      hidden: pick(frame.hidden, D),
      keys: pick(frame.keys, K),
      scores: frame.scores.filter((_, patch) => isStatic[patch] === 0),
    },
    tokens,
  );
  return {
    ...part,
    dominantIndices: part.dominantIndices.map((i) => rows[i]!),
    contextualMembers: part.contextualMembers.map((members) => members.map((i) => rows[i]!)),
    standIns,
  };
}

function nothingOf({ index, ptsSeconds, D }: EncodedFrame): CompressedFrame {
  return {
    index,
    ptsSeconds,
    T: 0,
    D,
    tokens: new Float32Array(0),
    dominantIndices: [],
    contextualMembers: [],
  };
}

/** Each merged token stands in the frame of the one that was kept. */
function compressClipWide(frames: readonly EncodedFrame[], budget: TokenBudget): CompressedFrame[] {
  const { N, D } = frames[0]!;
  const total = (budget.dominant + budget.contextual) * frames.length;
  // A frame's position is the same in every run: so is the draw.
  const tokens = mergeClipWide(frames, total, frames[0]!.index);
  return frames.map((frame, f) => {
    const own = tokens.filter(({ kept }) => Math.floor(kept / N) === f);
    if (own.length === 0) return nothingOf(frame);
    const { index, ptsSeconds } = frame;
    const merged = new Float32Array(own.length * D);
    own.forEach(({ token }, t) => {
      merged.set(token, t * D);
    });
    const placesOf = ({ kept, joined }: (typeof own)[0]) => [kept, ...joined];
    return {
      ...{ index, ptsSeconds, T: own.length, D, tokens: merged, dominantIndices: [] },
      contextualMembers: own.map((one) =>
        placesOf(one)
          .filter((place) => Math.floor(place / N) === f)
          .map((place) => place % N),
      ),
      reach: own.map((one) => {
        const of = placesOf(one).map((place) => Math.floor(place / N));
        return { first: frames[Math.min(...of)]!.index, last: frames[Math.max(...of)]!.index };
      }),
    };
  });
}
