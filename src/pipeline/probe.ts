import { z } from 'zod';
import type { RunOptions } from './decoder-process.js';
import { FfmpegError, InputError } from './errors.js';
import { probeLines } from './ffmpeg.js';
import { type Media, videoCodecs } from './media.js';
import { expectedFormats } from './recognise.js';
import type { Limits } from './types.js';

/** What the header of a video says, checked against the limits. */
export interface Probe {
  readonly streamIndex: number;
  readonly codec: string;
  readonly container: string;
  /** Displayed size in pixels. */
  readonly width: number;
  readonly height: number;
  /** Clockwise, in degrees: 0, 90, 180 or 270. */
  readonly rotation: number;
  readonly startSeconds: number;
  readonly seekable: boolean;
  /** False where packets and shown frames are not one to one, or packets have no presentation time. */
  readonly packetsAreFrames: boolean;
}

const number = z.coerce.number().optional();
const sideData = z.array(z.object({ rotation: number })).default([]);
const streamSchema = z.object({
  index: z.number().int(),
  codec_type: z.string().optional(),
  codec_name: z.string().optional(),
  width: number,
  height: number,
  field_order: z.string().optional(),
  duration: number,
  disposition: z.record(z.string(), z.number()).default({}),
  side_data_list: sideData,
});
const outputSchema = z.object({
  streams: z.array(streamSchema).default([]),
  frames: z.array(z.object({ side_data_list: sideData })).default([]),
  format: z
    .object({ format_name: z.string().default('unknown'), start_time: number, duration: number })
    .default({ format_name: 'unknown', start_time: undefined, duration: undefined }),
});
type Stream = z.infer<typeof streamSchema>;

const entries = [
  'stream=index,codec_type,codec_name,width,height,field_order,duration',
  'stream_disposition=default,attached_pic',
  'stream_side_data=rotation',
  'format=format_name,start_time,duration',
];
/** A photograph says how it was held beside its pixels, and ffmpeg turns it upright. */
const pictureEntries = ['frame=width', 'frame_side_data=rotation'];

/**
 * Reads the header of a video.
 *
 * @throws InputError when there is no video in it, or a number in it is over a limit.
 */
export async function probeVideo(media: Media, limits: Limits, options: RunOptions): Promise<Probe> {
  const { output, stderr } = await readHeader(media, options);
  const stream = bestStream(output.streams);
  if (!stream) throw new InputError(`${shown(media)}: expected a video stream, found ${contents(output)}`);
  const { width = 0, height = 0, codec_name: codec = 'unknown' } = stream;
  checkPicture(media, stream, stderr);
  const seconds = stream.duration ?? output.format.duration ?? 0;
  if (seconds > limits.maxSeconds) {
    throw new InputError(
      `${shown(media)} is ${seconds} seconds long, more than the limit of ${limits.maxSeconds}`,
    );
  }
  const container = output.format.format_name;
  const sides = [stream, ...output.frames].flatMap((part) => part.side_data_list);
  const rotation = clockwise(sides.find((data) => data.rotation !== undefined)?.rotation ?? 0);
  const turned = rotation === 90 || rotation === 270;
  const interlaced = !['progressive', 'unknown', undefined].includes(stream.field_order);
  return {
    streamIndex: stream.index,
    codec,
    container,
    width: turned ? height : width,
    height: turned ? width : height,
    rotation,
    startSeconds: output.format.start_time ?? 0,
    seekable: container.includes('mp4') || container.includes('matroska'),
    packetsAreFrames: codec !== 'vp8' && container !== 'avi' && !(container === 'mpegts' && interlaced),
  };
}

async function readHeader(media: Media, options: RunOptions) {
  let text = '';
  const shown = media.demuxer ? [...entries, ...pictureEntries] : entries;
  const first = media.demuxer ? ['-read_intervals', '%+#1'] : [];
  const lines = probeLines(media, ['-of', 'json', ...first, '-show_entries', shown.join(':')], options);
  try {
    for (;;) {
      const { done, value } = await lines.next();
      if (done) return { output: outputSchema.parse(JSON.parse(text)), stderr: value };
      text += value.join('\n');
    }
  } catch (error) {
    throw explained(media, error);
  }
}

/** Says in the user's words what ffprobe's complaint means. */
function explained(media: Media, error: unknown): unknown {
  if (!(error instanceof InputError && error.cause instanceof FfmpegError)) return error;
  const { stderr } = error.cause;
  const say = (found: string) =>
    new InputError(`${shown(media)}: expected ${expectedFormats}, found ${found}`, { cause: error.cause });
  const [, size] = /Picture size (\d+x\d+) exceeds/.exec(stderr) ?? [];
  if (size) return tooManyPixels(media, size);
  const [, codec] = /Codec \((\S+)\) not on whitelist/.exec(stderr) ?? [];
  if (codec) return notAccepted(media, codec);
  if (/Format not on whitelist/.test(stderr)) return say('another format');
  if (/moov atom not found/.test(stderr)) return say('an mp4 without its index: it is truncated');
  if (/Invalid data found/.test(stderr)) return say('data that is none of these, or damaged');
  return error;
}

/**
 * The video stream that ffmpeg itself takes when it is not told: the one with the most pixels, where being
 * marked as default counts for 5,000,000 more. Cover art is none.
 */
function bestStream(streams: readonly Stream[]): Stream | null {
  const score = (stream: Stream) =>
    (stream.width ?? 0) * (stream.height ?? 0) + (stream.disposition.default ? 5_000_000 : 0);
  let best: Stream | null = null;
  for (const stream of streams) {
    if (stream.codec_type !== 'video' || stream.disposition.attached_pic) continue;
    if (best === null || score(stream) > score(best)) best = stream;
  }
  return best;
}

function contents({ streams }: z.infer<typeof outputSchema>): string {
  const names = streams.map((stream) => {
    if (stream.disposition.attached_pic) return 'a cover picture';
    return `${stream.codec_type ?? 'unknown'} (${stream.codec_name ?? 'unknown'})`;
  });
  return names.length === 0 ? 'no stream at all' : `only ${names.join(' and ')}`;
}

function checkPicture(media: Media, stream: Stream, stderr: string): void {
  const { width = 0, height = 0, codec_name: codec = 'unknown' } = stream;
  const [, tooLarge] = /Picture size (\d+x\d+) exceeds/.exec(stderr) ?? [];
  if (tooLarge) throw tooManyPixels(media, tooLarge);
  if (width * height > media.maxPixels) throw tooManyPixels(media, `${width}x${height}`);
  if (media.demuxer === null && !videoCodecs.includes(codec)) throw notAccepted(media, codec);
  if (width > 0 && height > 0) return;
  const said = (stderr.trim().split('\n').at(-1) || 'no reason given').replace(/^\[[^\]]*\]\s*/, '');
  throw new InputError(`${shown(media)}: the size of its frames cannot be read: ${said}`);
}

function tooManyPixels(media: Media, size: string): InputError {
  return new InputError(
    `${shown(media)}: frames of ${size.replace('x', ' × ')} pixels, more than the limit of ${media.maxPixels} pixels`,
  );
}

function notAccepted(media: Media, codec: string): InputError {
  return new InputError(`${shown(media)}: codec ${codec} is not accepted, only ${videoCodecs.join(', ')}`);
}

/** ffprobe counts anticlockwise, and rotations between the right angles are left to ffmpeg. */
function clockwise(rotation: number): number {
  const turns = Math.round(-rotation / 90);
  return Math.abs(turns * 90 + rotation) > 1 ? 0 : (((turns % 4) + 4) % 4) * 90;
}

function shown(media: Media): string {
  return JSON.stringify(media.path);
}
