import { createHash } from 'node:crypto';
import { type FileHandle, open as openFile, stat } from 'node:fs/promises';
import { z } from 'zod';
import { messageOf, plural } from '../format.js';
import { settingsError } from './errors.js';
import { type Fingerprints, fingerprintOf } from './fingerprints.js';
import type { JobSettings } from './job.js';
import type { Columns } from './layout.js';
import { lineOf, type RowOutcome } from './line.js';
import { type Line, readLines } from './lines.js';
import { parseJson, readMembers } from './members.js';
import { keyOf, type Row } from './rows.js';
import type { RowOutput, RowStatus } from './stream.js';
import { LineReader, replaceFile, writeLines } from './tidy.js';

/** What a line of the output says of itself, apart from the row's own fields. */
const lineSchema = z.looseObject({
  prediction: z.string().nullable(),
  status: z.enum(['completed', 'failed', 'cancelled']),
  batch: z.looseObject({ row: z.int(), hash: z.string(), settings: z.string() }),
});

/** Whether a line of a file was written by a batch with these settings; see `digestSettings`. */
export function isLineOf(text: string, settings: string): boolean {
  try {
    return lineSchema.parse(JSON.parse(text)).batch.settings === settings;
  } catch {
    return false;
  }
}

export interface OutputOptions {
  /** The rows of the input. */
  readonly rows: Fingerprints;
  /** See `digestSettings`. */
  readonly settings: string;
  /** Drop rows of the output that are not in the input any more. */
  readonly replace: boolean;
  /** The field that names a row; without, rows are known by what they hold. */
  readonly idField?: string;
}

const absent = -1;

/**
 * A batch's output file. While a batch runs, rows are appended as they finish, each written whole; of two lines about one row the
 * completed one counts, then the later. At the end there is one line a row, in the order of the input.
 */
export class BatchOutput implements RowOutput {
  readonly #path: string;
  readonly #options: OutputOptions;
  readonly #file: FileHandle;
  readonly #lines: LinePlaces;
  /** Where the next line goes. */
  #end: number;
  /** Rows are written one after the other, and none behind one that could not be written whole. */
  #written: Promise<void> = Promise.resolve();

  private constructor(
    path: string,
    options: OutputOptions,
    file: FileHandle,
    lines: LinePlaces,
    end: number,
  ) {
    this.#path = path;
    this.#options = options;
    this.#file = file;
    this.#lines = lines;
    this.#end = end;
  }

  /**
   * Opens the output, and cuts off a torn last line. Refuses a file that is no output of this batch, so that nothing of the
   * user's is ever overwritten.
   */
  static async open(path: string, options: OutputOptions): Promise<BatchOutput> {
    const lines = new LinePlaces(options.rows);
    const strangers = new Strangers();
    let end = 0;
    let number = 0;
    let isEnded = true;
    for await (const line of linesIfThere(path)) {
      const read = readLine(line, `line ${++number} of ${path}`, options);
      if (read === null) break; // Torn.
      if (read.isForeign) lines.areInOrder = false;
      else if (!lines.put(read, line.offset)) strangers.add(read);
      end = line.offset + Buffer.byteLength(line.text) + (line.isEnded ? 1 : 0);
      isEnded = line.isEnded;
    }
    if (!options.replace) strangers.refuse(path);
    const file = await openFile(path, 'a+');
    await file.truncate(end);
    if (!isEnded) await file.writeFile('\n');
    return new BatchOutput(path, options, file, lines, end + (isEnded ? 0 : 1));
  }

  /** Whether it holds no line yet. */
  get isEmpty(): boolean {
    return this.#end === 0;
  }

  statusOf(index: number): RowStatus {
    return this.#lines.statusOf(index);
  }

  /** Appends a row. */
  append(row: Row, outcome: RowOutcome): Promise<void> {
    this.#written = this.#written.then(() => this.#append(row, outcome));
    return this.#written;
  }

  async #append(row: Row, outcome: RowOutcome): Promise<void> {
    const line = Buffer.from(lineOf(row, outcome, this.#options.settings));
    await this.#file.writeFile(line).catch((error) => this.#cannotWrite(error));
    this.#lines.set(row.index, this.#end, outcome.status === 'completed');
    this.#end += line.length;
  }

  /** One line a row, in the order of the input. */
  async finish(): Promise<void> {
    if (this.#lines.areInOrder) return;
    await replaceFile(this.#path, (file) => writeLines(file, this.#inOrder())).catch((error) =>
      this.#cannotWrite(error),
    );
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async *#inOrder(): AsyncGenerator<string> {
    const reader = new LineReader(this.#file);
    for (let index = 0; index < this.#options.rows.size; index++) {
      const offset = this.#lines.offsetOf(index);
      if (offset !== absent) yield renumber(await reader.at(offset), index);
    }
  }

  #cannotWrite(error: unknown): never {
    throw new Error(`cannot write ${this.#path}: ${messageOf(error)}; run again, it goes on`, {
      cause: error,
    });
  }
}

interface ReadLine {
  readonly row: number;
  readonly key: string | undefined;
  readonly hash: string;
  readonly isCompleted: boolean;
  /** Whether it failed with other options: it is no loss. */
  readonly isForeign: boolean;
}

/** Where the lines of the rows begin: 9 bytes a row. */
class LinePlaces {
  /** Whether the file is one line a row in the order of the input, with the right numbers. */
  areInOrder = true;
  readonly #rows: Fingerprints;
  readonly #offsets: Float64Array;
  readonly #isCompleted: Uint8Array;
  #lastIndex = -1;

  constructor(rows: Fingerprints) {
    this.#rows = rows;
    this.#offsets = new Float64Array(rows.size).fill(absent);
    this.#isCompleted = new Uint8Array(rows.size);
  }

  statusOf(index: number): RowStatus {
    if (this.#offsets[index] === absent) return 'absent';
    return this.#isCompleted[index] ? 'completed' : 'failed';
  }

  offsetOf(index: number): number {
    return this.#offsets[index]!;
  }

  /** Notes a line that was found. False where the input has no such row. */
  put(line: ReadLine, offset: number): boolean {
    const fingerprint = fingerprintOf(line);
    const first = this.#rows.first(fingerprint);
    if (first < 0) this.areInOrder = false;
    if (first < 0) return false;
    // Of rows that are alike the line is the first one's that has none; that a row has two is so after it failed.
    const index = this.#openRow(first) ?? first;
    if (this.#isCompleted[index]) this.areInOrder = false;
    else this.set(index, offset, line.isCompleted);
    if (index !== line.row) this.areInOrder = false;
    return true;
  }

  set(index: number, offset: number, isCompleted: boolean): void {
    if (index <= this.#lastIndex) this.areInOrder = false;
    this.#lastIndex = index;
    this.#offsets[index] = offset;
    this.#isCompleted[index] = Number(isCompleted);
  }

  /** The first row of a chain that has no line, else the first whose line says that it failed. */
  #openRow(first: number): number | undefined {
    let failed: number | undefined;
    for (let index = first; index >= 0; index = this.#rows.next(index)) {
      if (this.#offsets[index] === absent) return index;
      if (!this.#isCompleted[index]) failed ??= index;
    }
    return failed;
  }
}

/** Completed lines of rows that the input does not have. Failed ones are no loss. */
class Strangers {
  #count = 0;
  #first: ReadLine | undefined;

  add(line: ReadLine): void {
    if (!line.isCompleted) return;
    this.#count++;
    this.#first ??= line;
  }

  refuse(path: string): void {
    if (!this.#first) return;
    throw settingsError(
      `${path} holds ${plural(this.#count, 'row')} that the input does not have ` +
        `(first: row ${this.#first.row + 1}): choose another --out, or --replace to drop them`,
    );
  }
}

/** Null for a last line that was torn off by a crash. */
function readLine({ text, isEnded }: Line, place: string, options: OutputOptions): ReadLine | null {
  const value = parseJson(text);
  // After a loss of power its bytes may be there, but not what was written to them.
  const isOurs = text.startsWith('{') || /^\0+$/.test(text);
  if (!isEnded && isOurs && value === undefined) return null;
  const parsed = lineSchema.safeParse(value);
  if (!parsed.success) throw settingsError(`${place} is not a row of a batch: choose another --out`);
  const { batch, status } = parsed.data;
  const isForeign = batch.settings !== options.settings;
  if (isForeign && status === 'completed')
    throw settingsError(`${place} was made with other options (row ${batch.row + 1}): choose another --out`);
  const { idField } = options;
  const key = idField === undefined ? undefined : keyOf(readMembers(text)!, idField);
  return { row: batch.row, hash: batch.hash, key, isCompleted: status === 'completed', isForeign };
}

async function* linesIfThere(path: string): AsyncGenerator<Line> {
  try {
    yield* readLines(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return;
    throw code === undefined ? error : settingsError(`cannot read ${path}: ${(error as Error).message}`);
  }
}

/** The number of a row may have changed since its line was written. Ours is the last field of all. */
function renumber(line: string, index: number): string {
  const place = line.lastIndexOf('"batch":{"row":');
  return line.slice(0, place) + line.slice(place).replace(/^("batch":\{"row":)\d+/, `$1${index}`);
}

/** Whether two paths name one file, through links too. */
export async function isSameFile(a: string, b: string): Promise<boolean> {
  const [one, other] = await Promise.all([a, b].map((path) => stat(path).catch(() => null)));
  return one != null && other != null && one.dev === other.dev && one.ino === other.ino;
}

/** By which a line says with which options it was made, and, where it was said, how the file was read. */
export function digestSettings(
  settings: JobSettings,
  reading: { readonly preset?: string; readonly map?: Columns } = {},
): string {
  const isPlain = reading.preset === undefined && reading.map === undefined;
  const said = JSON.stringify(isPlain ? settings : { settings, ...reading });
  return createHash('sha256').update(said).digest('hex').slice(0, 16);
}
