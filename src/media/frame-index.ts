import type { Container } from './formats.js';

/** A packet, or a decoded frame, as ffprobe lists it, in its order. Times in seconds; NaN where there is none. */
export interface Entry {
  readonly pts: number;
  readonly dts: number;
  readonly duration: number;
  /** Decoding can start here. */
  readonly key: boolean;
  /** An edit list hides it: it is decoded, but not shown. */
  readonly isHidden: boolean;
  /** So small that it only says "the frame that came with the one before" (packed B-frames in AVI). */
  readonly isPlaceholder?: boolean;
  /** Position of its bytes in the file; NaN where it is not known. */
  readonly position: number;
  /** How many they are; NaN where it is not known. */
  readonly size: number;
}

/** Four hours at 125 frames a second. Videos with more frames are refused. */
export const MAX_FRAMES = 1_800_000;

/** The times of all frames that a player shows. */
export interface FrameIndex {
  /** Strictly ascending, in seconds from the first frame shown, to the microsecond. */
  readonly ptsSeconds: Float64Array;
  /** The same frames on the container's own clock. */
  readonly containerSeconds: Float64Array;
  /** Positions in `ptsSeconds` of the frames at which decoding can start; the first is 0. */
  readonly keyframes: Uint32Array;
  /** Positions in the file of their packets, in bytes; NaN where they are not known. */
  readonly bytes: Float64Array;
  /** How large these are, in bytes; NaN where it is not known. */
  readonly sizes: Float64Array;
  /** Positions in `ptsSeconds` at which the container's clock jumped or started again; the first is 0. */
  readonly parts: Uint32Array;
  /** Of each part, the position of the first packet in the file, in bytes. */
  readonly partBytes: Float64Array;
  /** Packets of another recording that follows on a clock of its own, in a container in which that cannot be read. */
  readonly unread: number;
  /** Until the last frame is taken off the display. */
  readonly durationSeconds: number;
  /** Average frame rate. */
  readonly fps: number;
}

/**
 * Where a packet lies this far behind or ahead of its predecessor, another clock begins; as ffmpeg decides for the
 * containers of broadcasts.
 */
const BACK_SECONDS = 0.1;
const JUMP_SECONDS = 10;
/** So far back the clock of other containers starts again. */
const RESTART_SECONDS = 0.5;

/** A stretch of packets on one clock. */
type Part = readonly Entry[];

/**
 * Puts listed packets into the order in which a player shows them, on one timeline from the first frame shown. Where
 * the container's clock starts again (files joined, an advertisement put in) the parts follow each other as in the
 * file, without gaps.
 *
 * @param entries of one stream, at least one.
 */
export function buildIndex(
  entries: readonly Entry[],
  { clockMayJump, hasEdits }: Pick<Container, 'clockMayJump' | 'hasEdits'>,
): FrameIndex {
  const first = () => (hasEdits ? entries : entries.slice(0, endOfClock(entries)));
  const clocks = clockMayJump ? splitParts(entries) : [first()];
  const shown = clocks.map(showPart).filter((part) => part.length > 0);
  const frames = shown.flat();
  const ptsSeconds = new Float64Array(frames.length);
  const parts: number[] = [];
  let at = 0;
  let end = 0;
  for (const part of shown) {
    parts.push(at);
    const start = part[0]!.pts;
    for (const { pts } of part) ptsSeconds[at++] = Math.round((end + pts - start) * 1e6) / 1e6;
    end += part.at(-1)!.pts - start + lastDuration(part);
  }
  return {
    ptsSeconds,
    containerSeconds: columnOf(frames, 'pts'),
    keyframes: Uint32Array.from(frames.flatMap(({ key }, i) => (key || i === 0 ? [i] : []))),
    bytes: columnOf(frames, 'position'),
    sizes: columnOf(frames, 'size'),
    parts: Uint32Array.from(parts),
    partBytes: Float64Array.from(shown, (part) => Math.min(...part.map(({ position }) => position))),
    unread: entries.length - clocks.reduce((sum, clock) => sum + clock.length, 0),
    durationSeconds: Math.round(end * 1e6) / 1e6,
    fps: end > 0 ? frames.length / end : 0,
  };
}

/** One number of each entry. */
function columnOf(entries: readonly Entry[], field: 'pts' | 'position' | 'size'): Float64Array {
  const column = new Float64Array(entries.length);
  entries.forEach((entry, i) => {
    column[i] = entry[field];
  });
  return column;
}

/** Where a keyframe lies further back than any order of frames explains. */
function endOfClock(entries: readonly Entry[]): number {
  let shown = Number.NEGATIVE_INFINITY;
  const end = entries.findIndex(({ key, pts }) => {
    if (key && pts < shown - RESTART_SECONDS) return true;
    shown = Math.max(shown, pts);
    return false;
  });
  return end < 0 ? entries.length : end;
}

/** Times of decoding ascend on one clock, and no keyframe is shown before what was decoded before it. */
function splitParts(entries: readonly Entry[]): Part[] {
  const parts: Entry[][] = [[]];
  let last = Number.NaN;
  let shown = Number.NEGATIVE_INFINITY;
  for (const entry of entries) {
    const now = Number.isNaN(entry.dts) ? entry.pts : entry.dts;
    const isBack = now < last - BACK_SECONDS || (entry.key && entry.pts <= shown);
    if (isBack || now > last + JUMP_SECONDS) {
      parts.push([]);
      shown = Number.NEGATIVE_INFINITY;
    }
    parts.at(-1)!.push(entry);
    last = now;
    shown = Math.max(shown, entry.pts);
  }
  return parts;
}

/** Sorts by time; of frames at one time the first stays, and none comes before the first keyframe. */
function showPart(part: Part): Part {
  const firstKey = part.findIndex(({ key }) => key);
  // Some streams mark no keyframe at all: there all frames count.
  const decodable = firstKey < 0 ? part : part.slice(firstKey);
  const start = decodable[0]?.key ? decodable[0].pts : Number.NEGATIVE_INFINITY;
  const shown = decodable.filter(({ pts, isHidden }) => pts >= start && !isHidden);
  const sorted = shown.sort((a, b) => a.pts - b.pts);
  return sorted.filter(({ pts }, i) => i === 0 || pts > sorted[i - 1]!.pts);
}

function lastDuration(part: Part): number {
  const last = part.at(-1)!;
  if (last.duration > 0) return last.duration;
  return part.length > 1 ? (last.pts - part[0]!.pts) / (part.length - 1) : 0;
}

/**
 * Packets that have times of decoding alone (AVI). Where B-frames are told apart (they alone have both times), they are
 * shown when they are decoded, and any other frame when the next such frame is decoded. Where they are not, a decoder gives as many frames as it gets
 * packets, each when it has got some more: then they may differ from the decoder's times by one shift.
 *
 * @param reordered how many more.
 * @returns null where a time of decoding is missing, too.
 */
export function timeByDecoding(
  packets: readonly Entry[],
  reordered: number,
): { readonly entries: Entry[]; readonly isShifted: boolean } | null {
  if (packets.some(({ dts }) => Number.isNaN(dts))) return null;
  const isOrdered = packets.every(({ pts }) => Number.isNaN(pts));
  const isShifted = isOrdered && reordered > 0;
  const last = packets.at(-1)!.dts;
  const gap = packets.length > 1 ? last - packets.at(-2)!.dts : 0;
  if (isOrdered) {
    const timeOf = (i: number) => packets[i]?.dts ?? last + (i - packets.length + 1) * gap;
    return { isShifted, entries: packets.map((packet, i) => ({ ...packet, pts: timeOf(i + reordered) })) };
  }
  const entries: Entry[] = [];
  let next = last + gap;
  for (const packet of packets.toReversed()) {
    const { isPlaceholder = false, key, pts, dts } = packet;
    const isReference = Number.isNaN(pts) && !isPlaceholder;
    entries.push({ ...packet, key: key && !isPlaceholder, pts: isReference ? next : dts });
    if (isReference) next = dts;
  }
  return { isShifted, entries: entries.reverse() };
}

/** A decoded frame without a time comes when the one before it ends: so ffmpeg counts on as well. */
export function timeByCounting(frames: readonly Entry[]): Entry[] {
  const timed: Entry[] = [];
  for (const frame of frames) {
    const last = timed.at(-1);
    const gap = last && last.duration > 0 ? last.duration : (last?.pts ?? 0) - (timed.at(-2)?.pts ?? 0);
    timed.push(Number.isNaN(frame.pts) ? { ...frame, pts: last ? last.pts + gap : 0 } : frame);
  }
  return timed;
}
