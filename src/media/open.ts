import { constants } from 'node:fs';
import { type FileHandle, open, realpath } from 'node:fs/promises';
import { InputError } from '../errors.js';
import { type Animation, readAnimation } from './animated-webp.js';
import { Deadline } from './decoder-process.js';
import type { Seeking } from './formats.js';
import { type Look, lookOf, shownSize } from './frame-filters.js';
import type { FrameIndex } from './frame-index.js';
import { identityOf, type Media } from './media.js';
import { readMp4Index } from './mp4-index.js';
import { notReadable, quotePath } from './not-readable.js';
import { readPictureFile } from './picture-file.js';
import { type Probe, probeVideo } from './probe.js';
import { recognise } from './recognise.js';
import { findTables } from './transport-tables.js';
import type { Limits, VideoInfo, VideoWarning } from './types.js';

export { defaultLimits } from './limits.js';

/** A video that may be decoded: every check is behind it. */
export interface OpenedVideo {
  readonly info: VideoInfo;
  /** `index.ptsSeconds`: when each frame is shown, in seconds from the first, strictly ascending. */
  readonly ptsSeconds: Float64Array;
  /** The times of its frames and where decoding can start. */
  readonly index: FrameIndex;
  readonly seeking: Seeking;
  /** The container's own start, in seconds: what ffmpeg's `-ss` counts from. */
  readonly startSeconds: number;
  /** The times of `index` differ from the decoder's by one shift. */
  readonly isShifted: boolean;
  /** How long the last frame stays on display, in seconds from the first. */
  readonly displayedSeconds: number;
  readonly look: Look;
  /** The video's stream in the words of ffmpeg's `-map`. */
  readonly streamMap: string;
  /** What the decoder is given. */
  readonly media: Media;
  /** Of an animated WebP, which is taken apart before it is decoded. */
  readonly animation?: Animation;
}

export interface OpenOptions {
  readonly signal?: AbortSignal;
  /** Whether a file that ends too early is an error; default false: what there is of it is used. */
  readonly strict?: boolean;
}

/**
 * Opens a local video or picture: the file, what ffprobe says of it, and the times of its frames. Nothing
 * is decoded but what ffprobe needs to know the format, and nothing is allocated from a number that the
 * file claims.
 *
 * @throws InputError for everything that is wrong with the file, FfmpegError for what is wrong with the
 *   machine.
 */
export async function openVideo(
  path: string,
  limits: Limits,
  { signal, strict = false }: OpenOptions = {},
): Promise<OpenedVideo> {
  signal?.throwIfAborted();
  const file = await openRegular(path);
  try {
    const stats = await file.handle.stat();
    const { size } = stats;
    if (size === 0) throw new InputError(`${quotePath(path)} is empty (0 bytes): expected a video file`);
    if (size > limits.maxBytes) {
      throw new InputError(`${quotePath(path)} has ${size} bytes, more than the limit of ${limits.maxBytes}`);
    }
    const kind = recognise(path, await readHead(file.handle), size);
    const picture = kind && (await readPictureFile(file.handle, kind));
    const media: Media = {
      path: file.path,
      identity: identityOf(stats),
      demuxer: picture?.demuxer ?? null,
      maxPixels: limits.maxPixels,
    };
    if (picture?.isAnimatedWebp)
      return describeAnimation(media, size, await readAnimation(file.handle, media, limits));
    const tracks = picture ? null : await readMp4Index(file.handle, size);
    const probe = await probeVideo(media, tracks, limits, {
      deadline: new Deadline(limits.decodeTimeoutMs),
      signal,
    });
    if (strict && probe.isTruncated)
      throw new InputError(`${quotePath(path)} is truncated: ${truncation(probe)}`);
    // Decoding of a part begins at its tables.
    if (probe.container?.demuxer === 'mpegts') {
      const { partBytes } = probe.index;
      for (const [part, byte] of partBytes.entries())
        partBytes[part] = await findTables(file.handle, byte || 0);
    }
    return describeVideo(media, size, probe, picture?.orientation ?? null);
  } finally {
    await file.handle.close();
  }
}

function describeVideo(
  media: Media,
  sizeBytes: number,
  probe: Probe,
  orientation: number | null,
): OpenedVideo {
  const { stream, container, index, startSeconds, isShifted } = probe;
  const isStill = orientation !== null && index.ptsSeconds.length === 1;
  const look = lookOf(stream, orientation);
  const isTurned = look.rotation === 90 || look.rotation === 270;
  const decoded = isTurned
    ? { width: stream.height, height: stream.width, sar: 1 / stream.sar }
    : { width: stream.width, height: stream.height, sar: stream.sar };
  const { width, height } = shownSize(look, decoded);
  return {
    info: {
      ...{ path: media.path, sizeBytes, streamIndex: stream.index, codec: stream.codec },
      container: probe.formatName,
      durationSeconds: isStill ? 0 : index.durationSeconds,
      fps: isStill ? 0 : index.fps,
      ...{ width, height, isStill },
      rotation: orientation === null ? stream.rotation : (turns[orientation] ?? 0),
      warnings: warningsOf(probe, look),
    },
    ptsSeconds: index.ptsSeconds,
    ...{ index, startSeconds, isShifted, look },
    seeking: container?.seeking ?? 'none',
    displayedSeconds: Math.max(index.durationSeconds, probe.endSeconds),
    streamMap: container?.seeking === 'byte' && stream.id ? `i:${stream.id}` : String(stream.index),
    media: { ...media, framePixels: Math.max(stream.width * stream.height, width * height) },
  };
}

function describeAnimation(media: Media, sizeBytes: number, animation: Animation): OpenedVideo {
  const { width, height, ptsSeconds, durationSeconds } = animation;
  const frames = ptsSeconds.length;
  const isStill = frames === 1;
  return {
    info: {
      ...{ path: media.path, sizeBytes, streamIndex: 0, codec: 'webp', container: 'webp' },
      ...{ durationSeconds: isStill ? 0 : durationSeconds, fps: isStill ? 0 : frames / durationSeconds },
      ...{ width, height, rotation: 0, isStill, warnings: [] },
    },
    ptsSeconds,
    index: {
      ...{ ptsSeconds, containerSeconds: ptsSeconds, durationSeconds, fps: frames / durationSeconds },
      ...{
        keyframes: Uint32Array.of(0),
        parts: Uint32Array.of(0),
        partBytes: Float64Array.of(0),
        unread: 0,
        bytes: new Float64Array(frames).fill(Number.NaN),
        sizes: new Float64Array(frames).fill(Number.NaN),
      },
    },
    ...{
      startSeconds: 0,
      isShifted: false,
      displayedSeconds: durationSeconds,
      seeking: 'none',
      streamMap: '0',
    },
    look: { rotation: 0, orientation: 1, hdr: null, matrix: null },
    media: { ...media, framePixels: width * height },
    animation,
  };
}

/** Clockwise, in degrees, of EXIF's orientations. */
const turns: Readonly<Record<number, number>> = { 3: 180, 4: 180, 5: 90, 6: 90, 7: 270, 8: 270 };

function warningsOf(probe: Probe, { hdr }: Look): VideoWarning[] {
  const warnings: VideoWarning[] = [];
  const { length } = probe.index.parts;
  if (probe.isTruncated) warnings.push({ kind: 'truncated', message: truncation(probe) });
  if (length > 1) {
    const message = `the clock of the video starts anew ${length - 1} times: its ${length} parts were put one behind the other`;
    warnings.push({ kind: 'joined', message });
  }
  if (probe.index.unread > 0) {
    const message = `another recording follows in the file on a clock of its own: its ${probe.index.unread} frames are not read`;
    warnings.push({ kind: 'joined', message });
  }
  if (hdr) warnings.push({ kind: 'tone-mapped', message: 'high dynamic range was brought into SDR (bt709)' });
  return warnings;
}

function truncation({ lostSeconds, index }: Probe): string {
  const read = index.durationSeconds;
  const lost = lostSeconds > 0 ? `: ${round(read)} of ${round(read + lostSeconds)} seconds can be read` : '';
  return `it ends in the middle of its video${lost}`;
}

function round(seconds: number): number {
  return Math.round(seconds * 100) / 100;
}

/** Opened without ever waiting, so that a FIFO cannot hold us up. */
async function openRegular(path: string): Promise<{ path: string; handle: FileHandle }> {
  let handle: FileHandle | undefined;
  try {
    const real = await realpath(path);
    handle = await open(real, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const stats = await handle.stat();
    if (stats.isFile()) return { path: real, handle };
    const kind = stats.isDirectory() ? 'a folder' : stats.isFIFO() ? 'a FIFO' : 'a device';
    throw new InputError(`${quotePath(path)} is ${kind}: expected a video file`);
  } catch (error) {
    await handle?.close();
    throw error instanceof InputError ? error : notReadable(path, error as NodeJS.ErrnoException);
  }
}

async function readHead(file: FileHandle): Promise<Uint8Array> {
  const head = new Uint8Array(4096);
  const { bytesRead } = await file.read(head, 0, head.length, 0);
  return head.subarray(0, bytesRead);
}
