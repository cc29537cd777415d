import { constants } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { lineOf, type RowOutcome } from './line.js';
import type { Row } from './rows.js';

export type RowStatus = 'absent' | 'completed' | 'failed';

/** Where the rows of a batch go. */
export interface RowOutput {
  /** What was there already of a row, by its index. */
  statusOf(index: number): RowStatus;
  append(row: Row, outcome: RowOutcome): Promise<void>;
  /** Called once no more rows come, unless the batch was stopped. */
  finish(): Promise<void>;
  close(): Promise<void>;
}

/** How often the reader of a named pipe is looked for, in milliseconds. */
const lookMs = 100;

export function isStandardOutput(out: string): boolean {
  return out === '-' || out === '/dev/stdout' || out === '/dev/fd/1' || out === '/proc/self/fd/1';
}

/** Whether rows written there cannot be read again: a pipe, a terminal, a device. */
export async function isStream(out: string): Promise<boolean> {
  if (isStandardOutput(out)) return true;
  const there = await stat(out).catch(() => null);
  return there !== null && !there.isFile() && !there.isDirectory();
}

/** Rows on standard output, or in a pipe: written as they come, and never gone on with. */
export class StreamOutput implements RowOutput {
  readonly #settings: string;
  readonly #file: FileHandle | null;

  private constructor(file: FileHandle | null, settings: string) {
    this.#file = file;
    this.#settings = settings;
  }

  /** Waits for the reader of a named pipe. Throws the signal's reason when aborted meanwhile. */
  static async open(out: string, settings: string, signal: AbortSignal): Promise<StreamOutput> {
    return new StreamOutput(isStandardOutput(out) ? null : await openPipe(out, signal), settings);
  }

  statusOf(): RowStatus {
    return 'absent';
  }

  async finish(): Promise<void> {}

  async append(row: Row, outcome: RowOutcome): Promise<void> {
    const line = lineOf(row, outcome, this.#settings);
    if (this.#file) await this.#file.writeFile(line);
    // An error of standard output aborts the command by itself.
    else await new Promise<void>((resolve) => process.stdout.write(line, () => resolve()));
  }

  async close(): Promise<void> {
    await this.#file?.close();
  }
}

/** A plain open would block until somebody reads the pipe, deaf to Ctrl-C. */
async function openPipe(path: string, signal: AbortSignal): Promise<FileHandle> {
  for (;;) {
    const probe = await open(path, constants.O_WRONLY | constants.O_NONBLOCK).catch((error) => {
      if (error.code !== 'ENXIO') throw error;
    });
    if (probe) {
      const file = await open(path, 'a');
      await probe.close();
      return file;
    }
    await pause(lookMs, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}
