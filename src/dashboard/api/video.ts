import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import type { Request, Response } from 'express';
import { InputError } from '../../errors.js';
import { recognise } from '../../media/recognise.js';
import { resolveBelow } from '../../sources/below.js';
import { mediaTypeOf } from './media-type.js';
import { Problem } from './problems.js';

const headBytes = 4_096;

interface FoundVideo {
  readonly path: string;
  readonly mediaType: string;
}

/**
 * The file of a job's video, where it lies below a video folder of this machine and begins like a video or a picture.
 *
 * @throws Problem
 */
export async function findVideo(path: string | null, folders: readonly string[]): Promise<FoundVideo> {
  const { file, mediaType, real } = await openVideo(path, folders);
  await file.close();
  return { path: real, mediaType };
}

/** Sends it, or the part of it that is asked for. @throws Problem */
export async function sendVideo(
  path: string | null,
  folders: readonly string[],
  request: Request,
  response: Response,
): Promise<void> {
  const { file, mediaType, size } = await openVideo(path, folders);
  try {
    const { start, end, isPart } = rangeOf(request, response, size);
    response.status(isPart ? 206 : 200).set({
      ...{ 'Content-Type': mediaType, 'Accept-Ranges': 'bytes', 'Content-Length': String(end - start + 1) },
      ...(isPart && { 'Content-Range': `bytes ${start}-${end}/${size}` }),
      'X-Content-Type-Options': 'nosniff',
    });
    if (request.method === 'HEAD' || size === 0) {
      response.end();
      return;
    }
    const stream = file.createReadStream({ start, end, autoClose: false });
    // Whoever watches goes on to another place, and drops this one.
    await pipeline(stream, response).catch(() => {});
  } finally {
    await file.close();
  }
}

function rangeOf(request: Request, response: Response, size: number) {
  // A suffix that is longer than the file is all of it; the library takes it for one that the file has not.
  const [, suffix] = /^bytes=-(\d+)$/.exec(request.headers.range ?? '') ?? [];
  if (size > 0 && Number(suffix) >= size) return { start: 0, end: size - 1, isPart: true };
  const ranges = request.range(size, { combine: true });
  if (ranges === -1) {
    response.set('Content-Range', `bytes */${size}`);
    throw new Problem(
      416,
      `expected a range within the ${size} bytes of the video, got ${request.headers.range}`,
    );
  }
  const [range, ...others] = Array.isArray(ranges) && ranges.type === 'bytes' ? ranges : [];
  // Of several parts at once all is sent, as is allowed.
  if (!range || others.length > 0) return { start: 0, end: size - 1, isPart: false };
  return { ...range, isPart: true };
}

/** The file may be exchanged between any two looks: so what was opened is looked at, and where it lies then. */
async function openVideo(path: string | null, folders: readonly string[]) {
  if (path === null) throw new Problem(404, 'it is not known any more which video the job asked about');
  let file: FileHandle | undefined;
  try {
    const real = await resolveBelow(path, folders);
    // No link at the end of a path without links; and a named pipe would keep this waiting.
    file = await open(real, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const { size, dev, ino } = await checkFile(file, path);
    const after = await open(await resolveBelow(path, folders), constants.O_RDONLY | constants.O_NONBLOCK);
    const same = await after.stat().finally(() => after.close());
    if (same.dev !== dev || same.ino !== ino) throw new Problem(404, 'the video was exchanged meanwhile');
    return { file, real, size, mediaType: await typeOf(file, path, size) };
  } catch (error) {
    await file?.close();
    throw error instanceof Problem ? error : unplayable(error);
  }
}

async function checkFile(file: FileHandle, path: string) {
  const stats = await file.stat();
  if (!stats.isFile()) throw new Problem(404, `${JSON.stringify(path)}: expected a file`);
  return stats;
}

async function typeOf(file: FileHandle, path: string, size: number): Promise<string> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(headBytes), 0, headBytes, 0);
  const head = buffer.subarray(0, bytesRead);
  const picture = recognise(path, head, size);
  const type = mediaTypeOf(head, picture);
  if (type === null)
    throw new Problem(404, `${JSON.stringify(path)}: no container that is known begins like this`);
  return type;
}

function unplayable(error: unknown): Problem {
  const reason =
    error instanceof InputError ? error.message : `it cannot be read: ${(error as Error).message}`;
  return new Problem(404, `this machine cannot play the video: ${reason}`);
}
