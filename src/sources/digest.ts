import { createHash } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { InputError } from '../errors.js';
import { identityOf } from '../media/media.js';
import { notReadable, quotePath } from '../media/not-readable.js';
import { LARGE_BYTES, recognise } from '../media/recognise.js';

/** How many files are remembered. */
const maxRemembered = 1_000;

/** A file's content, and which file that was: see `identityOf`. */
export interface NamedFile {
  readonly digest: string;
  readonly identity: string;
}

/** sha256 of files, remembered for as long as size, time of change and inode stay. */
export class FileDigests {
  readonly #remembered = new Map<string, { readonly version: string; readonly digest: string }>();

  /**
   * @param path of a regular file of at most `maxBytes`.
   * @throws InputError where it is none, is too large or cannot be read; the signal's reason
   */
  async of(path: string, maxBytes: number, signal?: AbortSignal): Promise<string> {
    return (await this.name(path, maxBytes, signal)).digest;
  }

  /** As `of`. */
  async name(path: string, maxBytes: number, signal?: AbortSignal): Promise<NamedFile> {
    // O_NONBLOCK: opening a FIFO would else wait for a writer for ever.
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch(
      (error: NodeJS.ErrnoException) => {
        throw notReadable(path, error);
      },
    );
    try {
      const stats = await file.stat();
      checkFile(path, stats, maxBytes);
      const identity = identityOf(stats);
      const version = `${identity}:${stats.ctimeMs}`;
      const known = this.#remembered.get(path);
      if (known?.version === version) return { digest: known.digest, identity };
      if (stats.size > LARGE_BYTES) await refuseOthers(path, file, stats.size);
      const hash = createHash('sha256');
      await pipeline(file.createReadStream({ autoClose: false, start: 0, highWaterMark: 2 ** 20 }), hash, {
        signal,
      });
      return { digest: this.#remember(path, version, hash.digest('hex')), identity };
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

/** What is no video at all is told at once, before gigabytes of it are read. */
async function refuseOthers(path: string, file: FileHandle, size: number): Promise<void> {
  const head = new Uint8Array(4096);
  const { bytesRead } = await file.read(head, 0, head.length, 0);
  recognise(path, head.subarray(0, bytesRead), size);
}

function checkFile(path: string, stats: Stats, maxBytes: number): void {
  if (!stats.isFile()) {
    const kind = stats.isDirectory() ? 'a folder' : stats.isFIFO() ? 'a FIFO' : 'no regular file';
    throw new InputError(`expected a video file, ${quotePath(path)} is ${kind}`);
  }
  if (stats.size > maxBytes) {
    throw new InputError(
      `expected a video of at most ${maxBytes} bytes, ${quotePath(path)} has ${stats.size}`,
    );
  }
}
