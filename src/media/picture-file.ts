import type { FileHandle } from 'node:fs/promises';
import type { PictureDemuxer } from './formats.js';

/** What the chunks of a picture file say beside its pixels. */
export interface PictureFile {
  /** `apng` for a PNG that moves. */
  readonly demuxer: PictureDemuxer;
  /** EXIF's orientation, 1 to 8; 1 where nothing is said. */
  readonly orientation: number;
  /** Whether it is a WebP with several frames, which ffmpeg's decoder cannot read. */
  readonly isAnimatedWebp: boolean;
}

/** A piece of a picture file: its name and where its content lies. */
export interface Chunk {
  readonly name: string;
  readonly start: number;
  readonly length: number;
}

/** More chunks than this are not looked at. */
const MAX_CHUNKS = 4096;
/** More bytes of EXIF than this are not looked at: a JPEG cannot hold more. */
const MAX_EXIF = 65_536;

/** Reads what ffmpeg does not: whether a PNG or WebP moves, and how a camera was held. Only headers are read. */
export async function readPictureFile(file: FileHandle, demuxer: PictureDemuxer): Promise<PictureFile> {
  const chunks = walkers[demuxer];
  let orientation = 1;
  let found = demuxer;
  let isAnimatedWebp = false;
  for await (const chunk of chunks?.(file) ?? []) {
    if (chunk.name === 'acTL') found = 'apng';
    if (chunk.name === 'ANIM') isAnimatedWebp = true;
    if (exifNames.has(chunk.name)) orientation = (await readOrientation(file, chunk)) ?? orientation;
  }
  return { demuxer: found, orientation, isAnimatedWebp };
}

const exifNames = new Set(['eXIf', 'EXIF', 'APP1']);

const walkers: Partial<Record<PictureDemuxer, (file: FileHandle) => AsyncGenerator<Chunk>>> = {
  png_pipe: pngChunks,
  webp_pipe: webpChunks,
  jpeg_pipe: jpegSegments,
};

async function* pngChunks(file: FileHandle): AsyncGenerator<Chunk> {
  let at = 8;
  for (let i = 0; i < MAX_CHUNKS; i++) {
    const head = await readAt(file, at, 8);
    if (head.length < 8) return;
    const length = head.readUInt32BE(0);
    yield { name: head.toString('latin1', 4, 8), start: at + 8, length };
    at += 12 + length;
  }
}

/** The chunks of a WebP (RIFF), or of one of its animation's frames. */
export async function* webpChunks(file: FileHandle, from = 12, to = Infinity): AsyncGenerator<Chunk> {
  let at = from;
  for (let i = 0; i < MAX_CHUNKS && at < to; i++) {
    const head = await readAt(file, at, 8);
    if (head.length < 8) return;
    const length = head.readUInt32LE(4);
    yield { name: head.toString('latin1', 0, 4), start: at + 8, length };
    at += 8 + length + (length % 2);
  }
}

async function* jpegSegments(file: FileHandle): AsyncGenerator<Chunk> {
  let at = 2;
  for (let i = 0; i < MAX_CHUNKS; i++) {
    const head = await readAt(file, at, 4);
    // Behind the start of a scan come pixels.
    if (head.length < 4 || head[0] !== 0xff || head[1] === 0xda) return;
    const length = head.readUInt16BE(2);
    yield { name: head[1] === 0xe1 ? 'APP1' : '', start: at + 4, length: Math.max(0, length - 2) };
    at += 2 + Math.max(2, length);
  }
}

/** @returns null where there is none. */
async function readOrientation(file: FileHandle, { start, length }: Chunk): Promise<number | null> {
  const bytes = await readAt(file, start, Math.min(length, MAX_EXIF));
  const tiff = bytes.toString('latin1', 0, 6) === 'Exif\0\0' ? bytes.subarray(6) : bytes;
  const order = tiff.toString('latin1', 0, 2);
  if (tiff.length < 8 || (order !== 'II' && order !== 'MM')) return null;
  const short = (at: number) => (order === 'II' ? tiff.readUInt16LE(at) : tiff.readUInt16BE(at));
  const first = order === 'II' ? tiff.readUInt32LE(4) : tiff.readUInt32BE(4);
  if (first + 2 > tiff.length) return null;
  for (
    let entry = first + 2, left = short(first);
    left > 0 && entry + 12 <= tiff.length;
    entry += 12, left--
  ) {
    if (short(entry) !== ORIENTATION_TAG) continue;
    const value = short(entry + 8);
    return value >= 1 && value <= 8 ? value : null;
  }
  return null;
}

/** EXIF 2.32, section 4.6.4. */
const ORIENTATION_TAG = 0x0112;

export async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  const { bytesRead } = await file.read(buffer, 0, length, position);
  return buffer.subarray(0, bytesRead);
}
