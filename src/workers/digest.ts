import { createHash } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { open } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { InputError } from '../pipeline/errors.js';

/** How many files are remembered. */
const maxRemembered = 1_000;

/** sha256 of files, remembered for as long as size, time of change and inode stay. */
export class FileDigests {
  readonly #remembered = new Map<string, { readonly version: string; readonly digest: string }>();

  /**
   * @param path of a regular file of at most `maxBytes`.
   * @throws InputError where it is none, is too large or cannot be read; the signal's reason
   */
  async of(path: string, maxBytes: number, signal?: AbortSignal): Promise<string> {
    // O_NONBLOCK: opening a FIFO would else wait for a writer for ever.
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) => {
      const { code } = error as NodeJS.ErrnoException;
      throw new InputError(`expected a video file that can be read, got ${path} (${code})`, { cause: error });
    });
    try {
      const stats = await file.stat();
      checkFile(path, stats, maxBytes);
      const version = `${stats.dev}:${stats.ino}:${stats.size}:${stats.mtimeMs}:${stats.ctimeMs}`;
      const known = this.#remembered.get(path);
      if (known?.version === version) return known.digest;
      const hash = createHash('sha256');
      await pipeline(file.createReadStream({ autoClose: false, highWaterMark: 2 ** 20 }), hash, { signal });
      return this.#remember(path, version, hash.digest('hex'));
    } finally {
      await file.close();
    }
  }

  #remember(path: string, version: string, digest: string): string {
    this.#remembered.delete(path);
    this.#remembered.set(path, { version, digest });
    const oldest = this.#remembered.keys().next();
    if (this.#remembered.size > maxRemembered && !oldest.done) this.#remembered.delete(oldest.value);
    return digest;
  }
}

function checkFile(path: string, stats: Stats, maxBytes: number): void {
  if (!stats.isFile()) {
    const kind = stats.isDirectory() ? 'a folder' : stats.isFIFO() ? 'a FIFO' : 'no regular file';
    throw new InputError(`expected a video file, ${path} is ${kind}`);
  }
  if (stats.size > maxBytes) {
    throw new InputError(`expected a video of at most ${maxBytes} bytes, ${path} has ${stats.size}`);
  }
}
