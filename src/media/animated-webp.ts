import type { FileHandle } from 'node:fs/promises';
import { InputError } from '../errors.js';
import { Deadline } from './decoder-process.js';
import { openRawVideo } from './ffmpeg.js';
import { type Media, openChecked } from './media.js';
import { type Chunk, readAt, webpChunks } from './picture-file.js';
import { readExactly } from './read-exactly.js';
import type { Frame, Limits } from './types.js';

/*
 * ffmpeg decodes WebP pictures, but not their animations. So an animation is taken apart here: each of its frames is a
 * picture of its own, which the sandboxed decoder gets through a pipe, and the canvas is put together again.
 * Source: the WebP Container Specification, "Animation" and "Assembling the Canvas From Frames".
 */

/** A frame of an animation: a rectangle of the canvas. */
interface Part {
  /** Its ALPH and VP8 or VP8L chunks. */
  readonly bitstream: readonly Chunk[];
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  /** Whether it is laid over what is there, or takes its place. */
  readonly blends: boolean;
  /** Whether its rectangle is cleared before the next. */
  readonly clears: boolean;
}

export interface Animation {
  readonly width: number;
  readonly height: number;
  readonly parts: readonly Part[];
  /** When each frame is shown, from 0, and when the last ends. */
  readonly ptsSeconds: Float64Array;
  readonly durationSeconds: number;
}

const MAX_PARTS = 4096;
/** What browsers make of frames that ask for 10 ms or less. */
const SHORTEST_MS = 11;
const DEFAULT_MS = 100;

/** @throws InputError for an animation that breaks the specification or a limit. */
export async function readAnimation(file: FileHandle, media: Media, limits: Limits): Promise<Animation> {
  const parts: Part[] = [];
  const times: number[] = [];
  let canvas = { width: 0, height: 0 };
  let ms = 0;
  for await (const chunk of webpChunks(file)) {
    if (chunk.name === 'VP8X') {
      const head = await readAt(file, chunk.start, 10);
      if (head.length === 10)
        canvas = { width: head.readUIntLE(4, 3) + 1, height: head.readUIntLE(7, 3) + 1 };
    }
    if (chunk.name !== 'ANMF') continue;
    const head = await readAt(file, chunk.start, 16);
    const bitstream = await bitstreamOf(file, chunk);
    if (head.length < 16 || bitstream.length === 0) break;
    const duration = head.readUIntLE(12, 3);
    times.push(ms / 1000);
    ms += duration < SHORTEST_MS ? DEFAULT_MS : duration;
    parts.push({
      ...{ bitstream, x: 2 * head.readUIntLE(0, 3), y: 2 * head.readUIntLE(3, 3) },
      ...{ width: head.readUIntLE(6, 3) + 1, height: head.readUIntLE(9, 3) + 1 },
      ...{ blends: (head[15]! & 2) === 0, clears: (head[15]! & 1) === 1 },
    });
    if (parts.length > MAX_PARTS) throw broken(media, `more than ${MAX_PARTS} frames`);
  }
  const { width, height } = canvas;
  if (parts.length === 0) throw broken(media, 'none that is whole');
  if (width * height > limits.maxPixels) throw broken(media, `a canvas of ${width} × ${height} pixels`);
  const outside = parts.find((part) => part.x + part.width > width || part.y + part.height > height);
  if (outside) throw broken(media, 'one that lies outside of the canvas');
  return { width, height, parts, ptsSeconds: Float64Array.from(times), durationSeconds: ms / 1000 };
}

async function bitstreamOf(file: FileHandle, { start, length }: Chunk): Promise<Chunk[]> {
  const chunks: Chunk[] = [];
  for await (const chunk of webpChunks(file, start + 16, start + length)) {
    if (['ALPH', 'VP8 ', 'VP8L'].includes(chunk.name)) chunks.push(chunk);
  }
  const isWhole = chunks.every((chunk) => chunk.start + chunk.length <= start + length);
  return isWhole && chunks.some(({ name }) => name !== 'ALPH') ? chunks : [];
}

function broken({ path }: Media, found: string): InputError {
  return new InputError(`${JSON.stringify(path)}: expected the frames of an animated WebP, found ${found}`);
}

/**
 * The wanted frames of an animation, in order; transparent places are black.
 *
 * @param indices positions in `animation.ptsSeconds`, ascending.
 */
export async function* decodeAnimation(
  media: Media,
  animation: Animation,
  indices: readonly number[],
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal?: AbortSignal },
): AsyncGenerator<Frame> {
  const { width, height, parts, ptsSeconds } = animation;
  const needed = parts.slice(0, (indices.at(-1) ?? -1) + 1);
  const deadline = new Deadline(timeoutMs);
  const frameBytes = width * height * 4;
  const raw = await openRawVideo(media, {
    ...{ deadline, signal, threads: 1, holds: false, rotates: false, pixelFormat: 'rgba' },
    feed: () => pictures(media, needed),
    stretches: [
      {
        ...{ from: null, stream: '0', frames: needed.length },
        // Whatever its size, each comes in the upper left corner of a canvas.
        filters: ['format=rgba', `pad=${width}:${height}:0:0:color=black@0`],
      },
    ],
  });
  const canvas = new Uint8Array(frameBytes);
  let position = 0;
  try {
    for (const [index, part] of needed.entries()) {
      const picture = await deadline.during(readExactly(raw.pixels[0]!, frameBytes), () => raw.expire());
      signal?.throwIfAborted();
      if (picture === null) {
        await raw.end();
        const message = `${JSON.stringify(media.path)}: frame ${index} of the animation is damaged`;
        throw new InputError(message, { cause: raw.failure(message) });
      }
      draw(canvas, width, picture, part);
      if (index === indices[position]) {
        yield { index: position++, ptsSeconds: ptsSeconds[index]!, width, height, rgb: withoutAlpha(canvas) };
      }
      if (part.clears) clear(canvas, width, part);
    }
  } finally {
    await raw.stop();
  }
}

/** Each frame as a WebP file of its own, one behind the other. */
async function* pictures(media: Media, parts: readonly Part[]): AsyncGenerator<Buffer> {
  const file = await openChecked(media);
  try {
    for (const { bitstream, width, height } of parts) {
      const chunks = bitstream.some(({ name }) => name === 'ALPH') ? [extended(width, height)] : [];
      for (const { name, start, length } of bitstream) {
        chunks.push(header(name, length), await readAt(file, start, length), Buffer.alloc(length % 2));
      }
      const body = Buffer.concat([Buffer.from('WEBP'), ...chunks]);
      yield Buffer.concat([header('RIFF', body.length), body]);
    }
  } finally {
    await file.close();
  }
}

function header(name: string, length: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.write(name, 'latin1');
  bytes.writeUInt32LE(length, 4);
  return bytes;
}

/** What has to stand before an alpha channel. */
function extended(width: number, height: number): Buffer {
  const bytes = Buffer.alloc(10);
  bytes[0] = 0x10;
  bytes.writeUIntLE(width - 1, 4, 3);
  bytes.writeUIntLE(height - 1, 7, 3);
  return Buffer.concat([header('VP8X', 10), bytes]);
}

/** @param picture (canvas height, canvas width, 4), of which the part is the upper left corner. */
function draw(canvas: Uint8Array, canvasWidth: number, picture: Uint8Array, part: Part): void {
  for (let y = 0; y < part.height; y++) {
    let from = y * canvasWidth * 4;
    let to = ((part.y + y) * canvasWidth + part.x) * 4;
    for (let x = 0; x < part.width; x++, from += 4, to += 4) {
      const alpha = picture[from + 3]!;
      const below = part.blends ? (canvas[to + 3]! * (255 - alpha)) / 255 : 0;
      const sum = alpha + below;
      for (let c = 0; c < 3; c++) {
        canvas[to + c] =
          sum === 0 ? 0 : Math.round((picture[from + c]! * alpha + canvas[to + c]! * below) / sum);
      }
      canvas[to + 3] = Math.round(sum);
    }
  }
}

function clear(canvas: Uint8Array, canvasWidth: number, { x, y, width, height }: Part): void {
  for (let row = y; row < y + height; row++) {
    canvas.fill(0, (row * canvasWidth + x) * 4, (row * canvasWidth + x + width) * 4);
  }
}

function withoutAlpha(rgba: Uint8Array): Uint8Array {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    rgb[to++] = rgba[from]!;
    rgb[to++] = rgba[from + 1]!;
    rgb[to++] = rgba[from + 2]!;
  }
  return rgb;
}
