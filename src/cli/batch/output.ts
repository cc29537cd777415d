import { createHash } from 'node:crypto';
import { type FileHandle, open as openFile, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import type { ResultDocument } from '../../../queues/schemas.js';
import { usageError } from '../exit.js';
import { plural } from '../format.js';
import type { JobSettings } from '../options.js';
import type { Row } from './rows.js';

/** How a row ended. */
export interface RowOutcome {
  readonly status: ResultDocument['status'];
  /** The answer, null where there is none. */
  readonly prediction: string | null;
  readonly error?: string;
}

/** What a line of the output says of itself, apart from the row's own fields. */
const lineSchema = z.looseObject({
  prediction: z.string().nullable(),
  status: z.enum(['completed', 'failed', 'cancelled']),
  batch: z.strictObject({ row: z.int(), hash: z.string(), settings: z.string() }),
});

interface Line {
  readonly text: string;
  readonly row: number;
  readonly hash: string;
  readonly settings: string;
  readonly isCompleted: boolean;
}

export interface OutputOptions {
  readonly rows: readonly Row[];
  readonly settings: JobSettings;
  /** Rows that failed before stay as they are. */
  readonly keepFailed: boolean;
  /** Drop rows of the output that are not in the input any more. */
  readonly replace: boolean;
}

/** A batch's output file: at most one line a row, each written whole and in the order in which the rows finish. */
export class BatchOutput {
  /** Rows that were there already. */
  readonly done: ReadonlySet<number>;
  readonly #file: FileHandle;
  readonly #settings: string;

  private constructor(file: FileHandle, settings: string, done: ReadonlySet<number>) {
    this.#file = file;
    this.#settings = settings;
    this.done = done;
  }

  /**
   * Opens the output, and drops from it a torn last line and what is to be tried again. Refuses a file that is no
   * output of this batch, so that nothing of the user's is ever overwritten.
   */
  static async open(path: string, options: OutputOptions): Promise<BatchOutput> {
    const settings = digest(options.settings);
    const text = await readIfThere(path);
    const lines = parseLines(text, path);
    const kept = lines.filter((line) => mayStay(line, options));
    refuseOtherBatch(path, lines, settings, options);
    const wanted = kept.map((line) => `${line.text}\n`).join('');
    if (wanted !== text) await replaceFile(path, wanted);
    const file = await openFile(path, 'a');
    return new BatchOutput(file, settings, new Set(kept.map((line) => line.row)));
  }

  /** Appends a row as one write. */
  async append(row: Row, outcome: RowOutcome): Promise<void> {
    const line = {
      ...row.fields,
      prediction: outcome.prediction,
      status: outcome.status,
      ...(outcome.error !== undefined && { error: outcome.error }),
      batch: { row: row.index, hash: row.hash, settings: this.#settings },
    };
    await this.#file.write(`${JSON.stringify(line)}\n`);
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

/** Whether two paths name one file, through links too. */
export async function isSameFile(a: string, b: string): Promise<boolean> {
  const [one, other] = await Promise.all([a, b].map((path) => stat(path).catch(() => null)));
  return one != null && other != null && one.dev === other.dev && one.ino === other.ino;
}

function mayStay(line: Line, { rows, keepFailed }: OutputOptions): boolean {
  return rows[line.row]?.hash === line.hash && (line.isCompleted || keepFailed);
}

function refuseOtherBatch(
  path: string,
  lines: readonly Line[],
  settings: string,
  options: OutputOptions,
): void {
  const other = lines.find((line) => line.settings !== settings);
  if (other) {
    throw usageError(`${path} was made with other options (row ${other.row + 1}): choose another --out`);
  }
  const strangers = lines.filter((line) => line.isCompleted && options.rows[line.row]?.hash !== line.hash);
  if (strangers.length > 0 && !options.replace) {
    throw usageError(
      `${path} holds ${plural(strangers.length, 'row')} that the input does not have ` +
        `(first: row ${strangers[0]!.row + 1}): choose another --out, or --replace to drop them`,
    );
  }
}

/** The lines of an output, the first of each row. A last line that was torn off by a crash is left out. */
function parseLines(text: string, path: string): Line[] {
  const lines = text.split('\n');
  const last = lines.pop()!;
  if (last !== '' && !(last.startsWith('{') && parseJson(last) === undefined)) lines.push(last);
  const seen = new Set<number>();
  return lines.flatMap((line, i) => {
    const parsed = lineSchema.safeParse(parseJson(line));
    if (!parsed.success)
      throw usageError(`line ${i + 1} of ${path} is not a row of a batch: choose another --out`);
    const { batch, status } = parsed.data;
    if (seen.has(batch.row)) return [];
    seen.add(batch.row);
    return [{ text: line, ...batch, isCompleted: status === 'completed' }];
  });
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

async function readIfThere(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw usageError(`cannot read ${path}: ${(error as Error).message}`);
  }
}

async function replaceFile(path: string, text: string): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    await writeFile(temporary, text);
    await rename(temporary, path);
  } finally {
    await rm(temporary, { force: true });
  }
}

function digest(settings: JobSettings): string {
  return createHash('sha256').update(JSON.stringify(settings)).digest('hex').slice(0, 16);
}
