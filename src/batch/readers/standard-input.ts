import { createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

/**
 * Lends a file with what standard input holds, and removes it afterwards: rows are read several times, and the end of a Parquet
 * file says what is in it.
 */
export async function withStandardInput<T>(
  signal: AbortSignal,
  use: (file: string) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'visionzip-rows-'));
  try {
    const file = join(folder, 'standard-input');
    await pipeline(process.stdin, createWriteStream(file), { signal });
    return await use(file);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
