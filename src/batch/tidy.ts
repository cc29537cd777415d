import { type FileHandle, open, realpath, rename, rm, stat } from 'node:fs/promises';

/** How much is read and written at once, in bytes. */
const blockBytes = 256 * 1024;

/**
 * Puts a file that `write` fills into the place of another, whole or not at all: also where a link leads there, and with its permissions.
 * What a killed process left of one is written over: whoever replaces a file holds its lock.
 */
export async function replaceFile(path: string, write: (file: FileHandle) => Promise<void>): Promise<void> {
  const place = await realpath(path).catch(() => path);
  const before = await stat(place).catch(() => null);
  const temporary = `${place}.visionzip.tmp`;
  try {
    const file = await open(temporary, 'w', before?.mode);
    try {
      if (before) await file.chmod(before.mode);
      await write(file);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, place);
  } finally {
    await rm(temporary, { force: true }).catch(() => {}); // What went wrong before is told.
  }
}

/** Lines of an open file by where they begin; those that lie near each other cost one reading. */
export class LineReader {
  readonly #file: FileHandle;
  #block = Buffer.alloc(0);
  #from = 0;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  /** The line that begins at this byte, without its line end. */
  async at(offset: number): Promise<string> {
    for (let bytes = blockBytes; ; bytes *= 2) {
      const start = offset - this.#from;
      const isInside = start >= 0 && start < this.#block.length;
      const end = isInside ? this.#block.indexOf('\n', start) : -1;
      if (end >= 0) return this.#block.toString('utf8', start, end);
      const { bytesRead, buffer } = await this.#file.read(Buffer.alloc(bytes), 0, bytes, offset);
      this.#block = buffer.subarray(0, bytesRead);
      this.#from = offset;
      if (bytesRead < bytes && !this.#block.includes('\n')) return this.#block.toString('utf8');
    }
  }
}

/** Writes lines to a file, many at a time. */
export async function writeLines(file: FileHandle, lines: AsyncIterable<string>): Promise<void> {
  let waiting: string[] = [];
  let size = 0;
  const flush = async () => {
    await file.writeFile(waiting.join(''));
    waiting = [];
    size = 0;
  };
  for await (const line of lines) {
    waiting.push(line, '\n');
    size += line.length + 1;
    if (size >= blockBytes) await flush();
  }
  await flush();
}
