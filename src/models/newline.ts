import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from '../errors.js';
import type { Manifest } from './manifest.js';

/** Stands for the newline's embedding among tokens. */
export const NEWLINE = -1;

/** The learned embedding behind a frame or a video. */
export interface Newline {
  readonly after: 'frame' | 'video';
  /** (H) */
  readonly embedding: Float32Array;
}

/** Reads a family's newline; undefined where it has none. Throws an InputError for a file that is not as expected. */
export async function readNewline(
  dir: string,
  { newlineTokens, files }: Manifest,
): Promise<Newline | undefined> {
  if (newlineTokens === 'none' || !files.newline) return undefined;
  const path = join(dir, files.newline);
  const embedding = vectorOf(await readFile(path));
  if (!embedding)
    throw new InputError(`${path} must hold float32 numbers in NumPy's format 1.0, one dimension`);
  return { after: newlineTokens === 'after-frame' ? 'frame' : 'video', embedding };
}

/** The same as a file. */
export function writeVector(vector: Float32Array): Buffer {
  const text = `{'descr': '<f4', 'fortran_order': False, 'shape': (${vector.length},), }`;
  // Magic, version and length take 10 bytes; all of it is a multiple of 64.
  const header = `${text.padEnd(Math.ceil((text.length + 11) / 64) * 64 - 11)}\n`;
  const start = Buffer.from(`\x93NUMPY\x01\x00\0\0${header}`, 'latin1');
  start.writeUInt16LE(header.length, 8);
  const numbers = Buffer.alloc(4 * vector.length);
  vector.forEach((value, i) => {
    numbers.writeFloatLE(value, 4 * i);
  });
  return Buffer.concat([start, numbers]);
}

/** One dimension of little-endian float32 in NumPy's format 1.0: magic, length of a header in ASCII, numbers. */
function vectorOf(file: Buffer): Float32Array | null {
  if (file.length < 10 || file.toString('latin1', 1, 6) !== 'NUMPY' || file[6] !== 1) return null;
  const start = 10 + file.readUInt16LE(8);
  if (!file.toString('latin1', 10, start).includes("'<f4'") || (file.length - start) % 4 !== 0) return null;
  return Float32Array.from({ length: (file.length - start) / 4 }, (_, i) => file.readFloatLE(start + 4 * i));
}
