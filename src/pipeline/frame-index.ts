import type { RunOptions } from './decoder-process.js';
import { InputError } from './errors.js';
import { probeLines } from './ffmpeg.js';
import type { Media } from './media.js';
import type { Probe } from './probe.js';
import type { Limits } from './types.js';

/** The times of all frames that a player shows. */
export interface FrameIndex {
  /** Strictly ascending, in seconds. */
  readonly ptsSeconds: Float64Array;
  /** Positions in `ptsSeconds` of the frames at which decoding can start. */
  readonly keyframes: Uint32Array;
  readonly durationSeconds: number;
  readonly fps: number;
}

/** Four hours at 125 frames a second. More packets than this are not read. */
export const MAX_FRAMES = 1_800_000;

interface Entry {
  readonly pts: number;
  readonly duration: number;
  readonly key: boolean;
}

/**
 * Lists the frames without decoding them, by the packets: of these an edit list may hide some (flag D), and
 * what comes before the first keyframe cannot be decoded. Where packets are not frames, ffprobe decodes all.
 *
 * @throws InputError for a video without frames, a truncated one, and one over the limits.
 */
export async function indexFrames(
  media: Media,
  probe: Probe,
  limits: Limits,
  options: RunOptions,
): Promise<FrameIndex> {
  const packets = probe.packetsAreFrames ? await readEntries(media, probe, limits, options, 'packet') : null;
  const entries = packets ?? (await readEntries(media, probe, limits, options, 'frame'));
  if (entries === null || entries.length === 0) {
    throw new InputError(`${JSON.stringify(media.path)} holds no frame: its video is 0 seconds long`);
  }
  return buildIndex(entries);
}

/** What is asked of ffprobe, and what of it is the time. */
const kinds = {
  packet: { show: 'packet=pts_time,duration_time,flags', time: /\bpts_time=([^|]*)/ },
  frame: {
    show: 'frame=key_frame,best_effort_timestamp_time,pkt_duration_time,duration_time',
    time: /\bbest_effort_timestamp_time=([^|]*)/,
  },
};
type Kind = keyof typeof kinds;

/** @returns null when a packet has no time. */
async function readEntries(
  media: Media,
  { streamIndex }: Probe,
  limits: Limits,
  options: RunOptions,
  kind: Kind,
): Promise<Entry[] | null> {
  const args = ['-select_streams', String(streamIndex), '-of', 'compact=p=0'];
  const batches = probeLines(media, [...args, '-show_entries', kinds[kind].show], options);
  const entries: Entry[] = [];
  let started = false;
  try {
    for (;;) {
      const { done, value } = await batches.next();
      if (done) {
        refuseTruncated(media, value);
        return entries;
      }
      for (const line of value) {
        const entry = parseEntry(line, kind);
        started ||= entry?.key === true;
        if (!entry || !started || entry.hidden) continue;
        const timed = Number.isNaN(entry.pts) && kind === 'frame' ? continued(entry, entries) : entry;
        if (Number.isNaN(timed.pts)) return null;
        entries.push(timed);
      }
      checkLimits(media, limits, entries);
    }
  } finally {
    await batches.return('');
  }
}

function checkLimits(media: Media, { maxSeconds }: Limits, entries: readonly Entry[]): void {
  const path = JSON.stringify(media.path);
  if (entries.length > MAX_FRAMES) throw new InputError(`${path} holds more than ${MAX_FRAMES} frames`);
  const seconds = entries.length === 0 ? 0 : entries.at(-1)!.pts - entries[0]!.pts;
  if (seconds > maxSeconds) {
    throw new InputError(`${path} is ${seconds} seconds long or more, the limit is ${maxSeconds}`);
  }
}

/** A decoded frame without a time comes when the one before it ends: so ffmpeg counts on as well. */
function continued(entry: Entry, before: readonly Entry[]): Entry {
  const last = before.at(-1);
  const previous = before.at(-2);
  if (!last) return { ...entry, pts: 0 };
  const duration = last.duration > 0 ? last.duration : last.pts - (previous?.pts ?? Number.NaN);
  return { ...entry, pts: last.pts + duration };
}

function parseEntry(line: string, kind: Kind): (Entry & { hidden: boolean }) | null {
  const [, time] = kinds[kind].time.exec(line) ?? [];
  if (time === undefined) return null;
  const [, duration = ''] = /duration_time=([\d.]+)/.exec(line) ?? [];
  const [, flags = ''] = /\bflags=(\S+)/.exec(line) ?? [];
  return {
    pts: Number.parseFloat(time),
    duration: Number.parseFloat(duration),
    key: flags.includes('K') || line.includes('key_frame=1'),
    hidden: flags.includes('D'),
  };
}

function refuseTruncated(media: Media, stderr: string): void {
  if (!/partial file|File ended prematurely/.test(stderr)) return;
  throw new InputError(`${JSON.stringify(media.path)} is truncated: it ends in the middle of its video`);
}

/** Sorts by time; of frames at one time the first stays, and none comes before the first keyframe. */
function buildIndex(entries: readonly Entry[]): FrameIndex {
  const firstKey = entries[0]!.key ? entries[0]!.pts : Number.NEGATIVE_INFINITY;
  const sorted = entries.filter((entry) => entry.pts >= firstKey).sort((a, b) => a.pts - b.pts);
  const frames = sorted.filter((entry, i) => i === 0 || entry.pts > sorted[i - 1]!.pts);
  const ptsSeconds = Float64Array.from(frames, (frame) => frame.pts);
  const keyframes = frames.flatMap((frame, i) => (frame.key || i === 0 ? [i] : []));
  const last = frames.at(-1)!;
  const span = last.pts - frames[0]!.pts;
  const gap = frames.length > 1 ? span / (frames.length - 1) : 0;
  const durationSeconds = span + (last.duration > 0 ? last.duration : gap);
  const fps = durationSeconds > 0 ? frames.length / durationSeconds : 0;
  return { ptsSeconds, keyframes: Uint32Array.from(keyframes), durationSeconds, fps };
}
