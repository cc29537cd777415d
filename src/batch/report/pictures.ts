import { join, resolve } from 'node:path';
import { messageOf } from '../../format.js';
import { decodeFrames } from '../../media/decode.js';
import { shrinkToWebp } from '../../media/image.js';
import { defaultLimits, openVideo } from '../../media/open.js';
import { VideoFolder } from '../videos.js';
import { mostPictures, spread } from './spread.js';
import type { ShownRow } from './types.js';

/** A frame that a row was answered from, small. */
export interface RowPicture {
  readonly ptsSeconds: number;
  /** Of the picture, a data URI. */
  readonly src: string;
  readonly width: number;
  readonly height: number;
}

/** What there is to see of a row. */
export interface RowPictures {
  readonly pictures: readonly RowPicture[];
  /** Whether these are frames that the model was shown; else the row does not say which those were. */
  readonly areShown: boolean;
  /** Why there are none. */
  readonly reason?: string;
}

/** By the row's line. */
export type PicturesOfRows = ReadonlyMap<number, RowPictures>;

export interface PictureOptions {
  /** Where rows' videos lie that have no absolute path. */
  readonly folder: string;
  /** Whether videos are looked for there by name, with or without their ending, in folders below it, too. */
  readonly isSearched: boolean;
  /** Of all pictures together; default 4 MiB. */
  readonly mostBytes?: number;
  readonly signal?: AbortSignal;
}

/** In pixels. */
const pictureEdge = 160;
/** One video may take so long; there may be twenty of them. */
const timeoutMs = 60_000;

/** Frames of each row, from its video. A row whose video cannot be read says so. */
export async function takePictures(
  rows: readonly ShownRow[],
  { folder, isSearched, mostBytes = 4 * 2 ** 20, signal }: PictureOptions,
): Promise<PicturesOfRows> {
  const videos = new VideoFolder(folder);
  const taken = new Map<number, RowPictures>();
  let left = mostBytes;
  for (const row of rows) {
    const areShown = row.ptsSeconds !== null;
    const without = (reason: string) => taken.set(row.line, { pictures: [], areShown, reason });
    if (row.video === '') {
      without('the row names no video');
      continue;
    }
    try {
      const path = isSearched ? await videos.find(row.video) : resolve(folder, row.video);
      const pictures = left > 0 ? await picturesOf(path, row, signal) : [];
      left -= pictures.reduce((sum, { src }) => sum + src.length, 0);
      if (left > 0) taken.set(row.line, { pictures, areShown });
      else without(`the page holds ${mostBytes / 2 ** 20} MiB of them at most`);
    } catch (error) {
      signal?.throwIfAborted();
      without(hideFolder(messageOf(error), resolve(folder)));
    }
  }
  return taken;
}

/** The page may be sent to somebody whom paths of this machine tell nothing. */
function hideFolder(message: string, folder: string): string {
  return message.replaceAll(join(folder, '/'), '').replaceAll(folder, 'the folder of videos');
}

async function picturesOf(path: string, row: ShownRow, signal?: AbortSignal): Promise<RowPicture[]> {
  const video = await openVideo(path, { ...defaultLimits, decodeTimeoutMs: timeoutMs }, { signal });
  const times = row.ptsSeconds ?? spread([...video.ptsSeconds], mostPictures);
  const indices = [...new Set(times.map((time) => nearest(video.ptsSeconds, time)))].sort((a, b) => a - b);
  const pictures: RowPicture[] = [];
  for await (const { rgb, width, height, ptsSeconds } of decodeFrames(video, indices, {
    timeoutMs,
    signal,
  })) {
    const small = await shrinkToWebp(rgb, width, height, pictureEdge);
    const src = `data:image/webp;base64,${small.bytes.toString('base64')}`;
    pictures.push({ ptsSeconds, src, width: small.width, height: small.height });
  }
  return pictures;
}

/** The place of the time that is nearest; times ascend. */
function nearest(times: Float64Array, wanted: number): number {
  const after = times.findIndex((time) => time >= wanted);
  if (after < 0) return times.length - 1;
  return after > 0 && wanted - times[after - 1]! < times[after]! - wanted ? after - 1 : after;
}
