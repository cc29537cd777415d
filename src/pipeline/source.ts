import { constants } from 'node:fs';
import { type FileHandle, open, realpath } from 'node:fs/promises';
import { sep } from 'node:path';
import { Deadline } from './decoder-process.js';
import { InputError } from './errors.js';
import { indexFrames } from './frame-index.js';
import { identityOf, type Media } from './media.js';
import { probeVideo } from './probe.js';
import { recognise } from './recognise.js';
import type { Limits, VideoInfo } from './types.js';

export const defaultLimits: Limits = {
  maxBytes: 4 * 2 ** 30,
  maxSeconds: 4 * 3600,
  maxPixels: 8192 * 4352,
  decodeTimeoutMs: 10 * 60_000,
};

/** A video that may be decoded: every check is behind it. */
export interface OpenedVideo {
  readonly info: VideoInfo;
  /**
   * Presentation times in seconds of all frames that a player shows, strictly ascending, to the microsecond:
   * ffprobe's `pts_time`, on the container's own clock (0 at the start of most files, not of MPEG-TS).
   */
  readonly ptsSeconds: Float64Array;
  /** Positions in `ptsSeconds` at which decoding can start, ascending; the first is 0. */
  readonly keyframes: Uint32Array;
  /** The container's own start on that clock, in seconds: what seeking counts from. */
  readonly startSeconds: number;
  /** False where seeking does not land where it should (MPEG-TS, AVI, GIF). */
  readonly seekable: boolean;
  /** What the decoder is given. */
  readonly media: Media;
}

/**
 * Opens a local video or picture: the file, what ffprobe says of it, and the times of its frames. Nothing
 * is decoded but what ffprobe needs to know the format, and nothing is allocated from a number that the
 * file claims.
 *
 * @throws InputError for everything that is wrong with the file, FfmpegError for what is wrong with the
 *   machine.
 */
export async function openVideo(path: string, limits: Limits, signal?: AbortSignal): Promise<OpenedVideo> {
  signal?.throwIfAborted();
  const file = await openRegular(path);
  const options = { deadline: new Deadline(limits.decodeTimeoutMs), signal };
  try {
    const stats = await file.handle.stat();
    const { size } = stats;
    if (size === 0) throw new InputError(`${shown(path)} is empty (0 bytes): expected a video file`);
    if (size > limits.maxBytes) {
      throw new InputError(`${shown(path)} has ${size} bytes, more than the limit of ${limits.maxBytes}`);
    }
    const demuxer = recognise(path, await readHead(file.handle));
    const media: Media = {
      path: file.path,
      identity: identityOf(stats),
      demuxer,
      maxPixels: limits.maxPixels,
    };
    const probe = await probeVideo(media, limits, options);
    const index = await indexFrames(media, probe, limits, options);
    const isStill = demuxer !== null && index.ptsSeconds.length === 1;
    return {
      info: {
        path: file.path,
        sizeBytes: size,
        streamIndex: probe.streamIndex,
        codec: probe.codec,
        container: probe.container,
        durationSeconds: isStill ? 0 : index.durationSeconds,
        fps: isStill ? 0 : index.fps,
        width: probe.width,
        height: probe.height,
        rotation: probe.rotation,
        isStill,
      },
      ptsSeconds: index.ptsSeconds,
      keyframes: index.keyframes,
      startSeconds: probe.startSeconds,
      seekable: probe.seekable,
      media: { ...media, framePixels: probe.width * probe.height },
    };
  } finally {
    await file.handle.close();
  }
}

/**
 * The real path of a file inside one of the folders, symbolic links resolved on both sides.
 *
 * @throws InputError when it does not exist or lies elsewhere.
 */
export async function resolveBelow(path: string, folders: readonly string[]): Promise<string> {
  const real = await realpath(path).catch((error: NodeJS.ErrnoException) => {
    throw notReadable(path, error);
  });
  for (const folder of folders) {
    const root = await realpath(folder).catch(() => null);
    if (root !== null && real.startsWith(root.endsWith(sep) ? root : root + sep)) return real;
  }
  const allowed = folders.length === 0 ? 'none' : folders.map(shown).join(', ');
  const target = real === path ? '' : ` (really ${shown(real)})`;
  throw new InputError(`${shown(path)}${target} lies outside the allowed folders: ${allowed}`);
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
    throw new InputError(`${shown(path)} is ${kind}: expected a video file`);
  } catch (error) {
    await handle?.close();
    throw error instanceof InputError ? error : notReadable(path, error as NodeJS.ErrnoException);
  }
}

function notReadable(path: string, cause: NodeJS.ErrnoException): Error {
  const reasons: Record<string, string> = {
    ENOENT: 'does not exist',
    ENOTDIR: 'does not exist: a part of its path is not a folder',
    EACCES: 'may not be read: permission denied',
    EPERM: 'may not be read: permission denied',
    ELOOP: 'is a symbolic link that leads in a circle',
    ENAMETOOLONG: 'does not exist: the name is too long',
    ENXIO: 'is a socket or a device: expected a video file',
    ERR_INVALID_ARG_VALUE: 'is not a path: it holds a null byte',
  };
  const reason = reasons[cause.code ?? ''];
  return reason ? new InputError(`${shown(path)} ${reason}`, { cause }) : cause;
}

async function readHead(file: FileHandle): Promise<Uint8Array> {
  const head = new Uint8Array(4096);
  const { bytesRead } = await file.read(head, 0, head.length, 0);
  return head.subarray(0, bytesRead);
}

function shown(path: string): string {
  return JSON.stringify(path);
}
