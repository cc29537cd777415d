import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

/** Whether rows can be read from there once alone: `-`, which is standard input, and pipes such as those of `<(zcat rows.jsonl.gz)`. */
export async function isReadOnce(file: string): Promise<boolean> {
  if (file === '-') return true;
  const there = await stat(file).catch(() => null);
  return there !== null && !there.isFile() && !there.isDirectory();
}

/**
 * Lends a file with what comes from there, and removes it afterwards: rows are read several times, and the end of a Parquet file says
 * what is in it.
 */
export async function withSpooled<T>(
  source: string,
  signal: AbortSignal,
  use: (file: string) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'visionzip-rows-'));
  try {
    const file = join(folder, 'standard-input');
    const rows = source === '-' ? process.stdin : createReadStream(source);
    await pipeline(rows, createWriteStream(file), { signal });
    return await use(file);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
