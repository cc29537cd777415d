import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { FileDigests } from './digest.js';

/** How many videos are kept; the oldest give way. An hour takes less than half a megabyte. */
const maxKept = 1_000;

/** Below the home folder, by the digest of the file. */
export async function changesIn(home: string, video: string, maxBytes: number, signal: AbortSignal) {
  return changeFile(changesPath(home, await new FileDigests().of(video, maxBytes, signal)));
}

export function changesPath(home: string, digest: string): string {
  return join(home, 'changes', digest);
}

/** Keeps how much changes in one video, (F) float32, in a file. Nothing of it throws: what is not kept is found out again. */
export function changeFile(path: string) {
  return {
    read: async (): Promise<Float32Array | null> => {
      try {
        const bytes = await readFile(path);
        return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
      } catch {
        return null;
      }
    },
    write: async (change: Float32Array): Promise<void> => {
      try {
        await mkdir(dirname(path), { recursive: true });
        // What is torn, or read meanwhile, is too short for its video, and so not taken.
        await writeFile(path, new Uint8Array(change.buffer, change.byteOffset, change.byteLength));
        await dropOldest(dirname(path), basename(path));
      } catch {
        // A full disk costs time and no more.
      }
    },
  };
}

async function dropOldest(folder: string, newest: string): Promise<void> {
  const names = (await readdir(folder)).filter((name) => name !== newest);
  if (names.length < maxKept) return;
  const aged = await Promise.all(
    names.map(async (name) => ({ name, at: (await stat(join(folder, name))).mtimeMs })),
  );
  aged.sort((a, b) => a.at - b.at);
  for (const { name } of aged.slice(0, names.length - maxKept + 1))
    await rm(join(folder, name), { force: true });
}
