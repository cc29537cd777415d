import { FfmpegError, InputError } from '../errors.js';
import type { RunOptions } from './decoder-process.js';
import { companionsOfThisFfmpeg, probeLines } from './ffmpeg.js';
import { type Container, containers, expectedFormats, videoCodecs } from './formats.js';
import {
  buildIndex,
  type Entry,
  type FrameIndex,
  MAX_FRAMES,
  timeByCounting,
  timeByDecoding,
} from './frame-index.js';
import { MAX_STREAMS, type Media } from './media.js';
import type { Mp4Track } from './mp4-index.js';
import { type ListedStream, type Listing, parseListing } from './probe-listing.js';
import type { Limits } from './types.js';

/** What the header of a video says and which frames it has, checked against the limits. */
export interface Probe {
  readonly stream: ListedStream;
  /** Null for a picture file. */
  readonly container: Container | null;
  readonly formatName: string;
  /** The container's own start, in seconds: what ffmpeg's `-ss` counts from. */
  readonly startSeconds: number;
  readonly index: FrameIndex;
  /** The times of `index` differ from the decoder's by one shift, which is the same for all frames. */
  readonly isShifted: boolean;
  /** Seconds that the header promises and that cannot be read; 0 where the file ends well. */
  readonly lostSeconds: number;
  readonly isTruncated: boolean;
  /** Where the longest stream ends, in seconds from the first frame shown. */
  readonly endSeconds: number;
}

/** A shape beyond this is no picture of anything, and resizing it takes as long as a film. */
const MAX_ASPECT = 256;

const streamEntries = [
  'stream=index,id,codec_type,codec_name,width,height,sample_aspect_ratio,pix_fmt,has_b_frames,start_time,duration',
  'stream=color_range,color_space,color_transfer,color_primaries',
  'stream_disposition=default,attached_pic',
  'stream_side_data=rotation',
  'format=format_name,start_time,duration',
];
const packetEntries = 'packet=stream_index,pts_time,dts_time,duration_time,flags,pos,size';
const frameEntries =
  'frame=stream_index,key_frame,best_effort_timestamp_time,pkt_dts_time,pkt_duration_time,duration_time,pkt_pos';

/**
 * Reads the header of a video and lists its frames, in one run of ffprobe. Nothing is decoded but what ffprobe needs to
 * know the format, unless packets have no times.
 *
 * @param tracks of a plain MP4 file, already read; else null.
 * @throws InputError when there is no video in it, or a number in it is over a limit.
 */
export async function probeVideo(
  media: Media,
  tracks: ReadonlyMap<string, Mp4Track> | null,
  limits: Limits,
  options: RunOptions,
): Promise<Probe> {
  const { listing, lost } = await listPackets(media, tracks, options);
  const stream = bestStream(listing.streams);
  if (!stream) throw await noVideo(media, options);
  checkStream(media, stream, listing.complaints);
  const container = containers.find(({ demuxer }) => demuxer === listing.formatName) ?? null;
  const { entries, isShifted } = await timedEntries(media, stream, container, listing, options);
  if (entries.length === 0) throw noFrame(media);
  const index = buildIndex(entries, container ?? {});
  if (index.ptsSeconds.length === 0) throw noFrame(media);
  checkLength(media, index.durationSeconds, limits);
  const isTruncated = lost || /partial file|File ended prematurely/.test(listing.complaints);
  const promised = stream.duration ?? listing.duration ?? 0;
  return {
    ...{ stream, container, index, isShifted, isTruncated },
    formatName: listing.formatName,
    startSeconds: listing.startTime ?? 0,
    endSeconds: (listing.startTime ?? 0) + (listing.duration ?? 0) - index.containerSeconds[0]!,
    lostSeconds: isTruncated ? Math.max(0, promised - index.durationSeconds) : 0,
  };
}

/**
 * The streams and the packets of video: in plain MP4 files those of its tables, for which ffprobe need not read the file.
 * They must agree with ffprobe on the first frame's time.
 */
async function listPackets(
  media: Media,
  tracks: ReadonlyMap<string, Mp4Track> | null,
  options: RunOptions,
): Promise<{ readonly listing: Listing; readonly lost: boolean }> {
  if (tracks) {
    const header = await list(media, ['v', 'format=format_name'], options);
    const stream = bestStream(header.streams);
    const track = tracks.get(stream?.id ?? '');
    const start = track?.entries.reduce((least, { pts }) => Math.min(least, pts), Number.POSITIVE_INFINITY);
    if (stream && track && Math.abs(start! - (stream.startTime ?? Number.NaN)) < 2e-6) {
      checkCount(media, track.entries);
      return {
        listing: { ...header, entries: new Map([[stream.index, track.entries]]) },
        lost: track.isTruncated,
      };
    }
  }
  return { listing: await list(media, ['v', packetEntries], options), lost: false };
}

/** The packets of a stream with a time each; where they have none, its frames as ffprobe decodes them. */
async function timedEntries(
  media: Media,
  stream: ListedStream,
  container: Container | null,
  listing: Listing,
  options: RunOptions,
): Promise<{ entries: readonly Entry[]; isShifted: boolean }> {
  const packets = listing.entries.get(stream.index) ?? [];
  if (packets.every(({ pts }) => !Number.isNaN(pts))) {
    return { entries: stream.codec === 'vp8' ? withoutHidden(packets) : packets, isShifted: false };
  }
  const timed = container?.countsPackets ? timeByDecoding(packets, stream.reordered) : null;
  if (timed) return timed;
  const decoded = await list(media, [String(stream.index), frameEntries], options);
  return { entries: timeByCounting(decoded.entries.get(stream.index) ?? []), isShifted: false };
}

/** VP8's alternate references are packets of their own that are never shown, at the time of the one behind them. */
function withoutHidden(packets: readonly Entry[]): Entry[] {
  return packets.filter(({ key, pts }, i) => key || !(packets[i + 1] && packets[i + 1]!.pts - pts < 0.002));
}

async function list(
  media: Media,
  [streams, what]: readonly [string, string],
  options: RunOptions,
): Promise<Listing> {
  const args = [
    '-select_streams',
    streams,
    '-of',
    'compact',
    '-show_entries',
    [...streamEntries, what].join(':'),
  ];
  const read = async (companions?: readonly string[]) => {
    const lines = probeLines(media, args, options, companions);
    return await parseListing(lines, (entries) => checkCount(media, entries));
  };
  try {
    return await read().catch(async (error: unknown) => {
      if (!notOnList(error)) throw error;
      // Perhaps of sound or subtitles, which do not matter.
      return await read(await companionsOfThisFfmpeg());
    });
  } catch (error) {
    throw explained(media, error);
  }
}

function checkCount(media: Media, entries: readonly Entry[]): void {
  if (entries.length > MAX_FRAMES) {
    throw new InputError(`${quoteName(media)} holds more than ${MAX_FRAMES} frames`);
  }
}

function checkLength(media: Media, seconds: number, { maxSeconds }: Pick<Limits, 'maxSeconds'>): void {
  if (seconds <= maxSeconds) return;
  throw new InputError(
    `${quoteName(media)} is ${seconds} seconds long, more than the limit of ${maxSeconds}`,
  );
}

/**
 * The video stream that ffmpeg itself takes when it is not told: the one with the most pixels, where being
 * marked as default counts for 5,000,000 more. Cover art is none.
 */
function bestStream(streams: readonly ListedStream[]): ListedStream | null {
  const score = (stream: ListedStream) => stream.width * stream.height + (stream.isDefault ? 5_000_000 : 0);
  let best: ListedStream | null = null;
  for (const stream of streams) {
    if (stream.type !== 'video' || stream.isCover) continue;
    if (best === null || score(stream) > score(best)) best = stream;
  }
  return best;
}

function checkStream(media: Media, { width, height, codec, sar }: ListedStream, complaints: string): void {
  if (media.demuxer === null && !videoCodecs.some(({ name }) => name === codec))
    throw notAccepted(media, codec);
  if (!(width > 0 && height > 0)) {
    const [, size] = tooLarge.exec(complaints) ?? [];
    if (size) throw tooManyPixels(media, size);
    const said = (complaints.trim().split('\n').at(-1) || 'no reason given').replace(/^\[[^\]]*\]\s*/, '');
    throw new InputError(`${quoteName(media)}: the size of its frames cannot be read: ${said}`);
  }
  const displayed = width * sar;
  const widest = Math.round(Math.max(width, displayed));
  if (widest * height > media.maxPixels) throw tooManyPixels(media, `${widest}x${height}`);
  if (Math.max(displayed / height, height / displayed, sar, 1 / sar) > MAX_ASPECT) {
    throw new InputError(
      `${quoteName(media)}: expected frames of a shape up to ${MAX_ASPECT} : 1, ` +
        `found ${width} × ${height} pixels${sar === 1 ? '' : ` that are ${sar} times as wide as high`}`,
    );
  }
}

const tooLarge = /Picture size (\d+x\d+) exceeds/;

function notOnList(error: unknown): string | null {
  const stderr = error instanceof InputError && error.cause instanceof FfmpegError ? error.cause.stderr : '';
  return /Codec \((\S+)\) not on whitelist/.exec(stderr)?.[1] ?? null;
}

/** Says in the user's words what ffprobe's complaint means. */
function explained(media: Media, error: unknown): unknown {
  if (!(error instanceof InputError && error.cause instanceof FfmpegError)) return error;
  const { stderr } = error.cause;
  const say = (found: string) =>
    new InputError(`${quoteName(media)}: expected ${expectedFormats}, found ${found}`, {
      cause: error.cause,
    });
  const [, size] = tooLarge.exec(stderr) ?? [];
  if (size) return tooManyPixels(media, size);
  const codec = notOnList(error);
  if (codec) return notAccepted(media, codec);
  if (/Number of streams exceeds/.test(stderr)) {
    return new InputError(`${quoteName(media)}: expected at most ${MAX_STREAMS} streams, found more`, {
      cause: error.cause,
    });
  }
  if (/Format not on whitelist/.test(stderr)) return say('another format');
  if (/moov atom not found/.test(stderr)) return say('an mp4 without its index: it is truncated');
  if (/Invalid data found/.test(stderr)) return say('data that is none of these, or damaged');
  return error;
}

/** What there is instead of a video, from a second look at all streams. */
async function noVideo(media: Media, options: RunOptions): Promise<InputError> {
  const { streams } = await list(media, ['', 'format=format_name'], options);
  const names = streams.map(({ isCover, type, codec }) =>
    isCover ? 'a cover picture' : `${type} (${codec})`,
  );
  const found = names.length === 0 ? 'no stream at all' : `only ${names.join(' and ')}`;
  return new InputError(`${quoteName(media)}: expected a video stream, found ${found}`);
}

function noFrame(media: Media): InputError {
  return new InputError(`${quoteName(media)} holds no frame: its video is 0 seconds long`);
}

function tooManyPixels(media: Media, size: string): InputError {
  return new InputError(
    `${quoteName(media)}: frames of ${size.replace('x', ' × ')} pixels, more than the limit of ${media.maxPixels} pixels`,
  );
}

function notAccepted(media: Media, codec: string): InputError {
  const accepted = videoCodecs.map(({ name }) => name).join(', ');
  return new InputError(`${quoteName(media)}: codec ${codec} is not accepted, only ${accepted}`);
}

function quoteName(media: Media): string {
  return JSON.stringify(media.path);
}
