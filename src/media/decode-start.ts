import { timeRange } from './decode-plan.js';
import type { OpenedVideo } from './open.js';

/** Where a run begins to decode. */
export interface Start {
  /** Position in `ptsSeconds` of the first frame that will come whole. */
  readonly position: number;
  /** What the decoder is told; null for the start of the file. */
  readonly from: { readonly seconds: number } | { readonly byte: number } | null;
}

/**
 * A transport stream tells what it holds several times a second: from this long before a keyframe on that will have been
 * told. Where it was not, longer.
 */
const LEAD_SECONDS = [1, 5];

/** Ways to begin at the keyframe of a frame, the cheapest first; the last one is sure, but in a later part of the file. */
export function startsAt(video: OpenedVideo, index: number): Start[] {
  const { index: frames, seeking } = video;
  const beginning: Start = { position: 0, from: null };
  const position = last(frames.keyframes, index);
  const part = place(frames.parts, index);
  if (seeking === 'byte') {
    const leads = LEAD_SECONDS.map((seconds) => byteBefore(video, position, part, seconds));
    const bytes = [...new Set([...leads, frames.partBytes[part]!])].filter((byte) => byte > 0);
    return [...bytes.map((byte) => ({ position, from: { byte } })), ...(part === 0 ? [beginning] : [])];
  }
  if (seeking === 'none' || position === 0) return [beginning];
  return [{ position, from: { seconds: seekTime(video, index) } }, beginning];
}

/** The packet that is shown some seconds before, but of the same part. */
function byteBefore({ index }: OpenedVideo, position: number, part: number, seconds: number): number {
  const time = index.ptsSeconds[position]! - seconds;
  for (let i = position; i >= index.parts[part]!; i--) {
    if (index.ptsSeconds[i]! <= time && index.bytes[i]! >= 0) return index.bytes[i]!;
  }
  return index.partBytes[part]!;
}

/**
 * A little after the frame, so that rounding does not fall to the keyframe before; counted from the
 * container's start.
 */
export function seekTime(
  { index, startSeconds }: Pick<OpenedVideo, 'index' | 'startSeconds'>,
  position: number,
): number {
  const after = (timeRange(index.ptsSeconds, position)[1] / 1e6 - index.ptsSeconds[position]!) / 2;
  return Math.max(0, index.containerSeconds[position]! + after - startSeconds);
}

/** Ticks of the clock of MPEG streams, which starts again at 2³³. */
const WRAP_MICROS = (2 ** 33 / 90_000) * 1e6;

/**
 * An expression of ffmpeg's setpts filter, in microseconds, from the container's clock to the times of `ptsSeconds`.
 */
export function clockExpression(video: OpenedVideo, { position }: Start): string {
  const { index, isShifted, seeking } = video;
  const part = last(index.parts, position);
  const micros = (seconds: number) => Math.round(seconds * 1e6);
  const offset = micros(index.containerSeconds[part]!) - micros(index.ptsSeconds[part]!);
  const time = `PTS-(${offset})`;
  if (isShifted) {
    const [start, shown] = [micros(index.containerSeconds[position]!), micros(index.ptsSeconds[position]!)];
    // The last frames come with times that are guessed to half an interval; all others are multiples of it.
    const interval = micros(smallestInterval(index.ptsSeconds));
    const since = `${interval}*round((PTS-STARTPTS)/${interval}+0.01)`;
    return `if(lt(abs(STARTPTS-(${start})),1000000),${shown}+${since},${time})`;
  }
  if (seeking !== 'byte') return time;
  const expected = micros(index.ptsSeconds[position]!);
  return `${time}-${WRAP_MICROS}*round((${time}-${expected})/${WRAP_MICROS})`;
}

function smallestInterval(ptsSeconds: Float64Array): number {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 1; i < ptsSeconds.length; i++) least = Math.min(least, ptsSeconds[i]! - ptsSeconds[i - 1]!);
  return Number.isFinite(least) ? least : 1;
}

/** The largest of some ascending positions that is not above an index. */
export function last(positions: Uint32Array, index: number): number {
  return positions[place(positions, index)]!;
}

/** Which one that is. */
function place(positions: Uint32Array, index: number): number {
  let low = 0;
  let high = positions.length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (positions[middle]! <= index) low = middle;
    else high = middle;
  }
  return low;
}
