import { createHash } from 'node:crypto';
import { type FileHandle, open as openFile, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { plural } from '../format.js';
import { settingsError } from './errors.js';
import type { JobSettings } from './job.js';
import { lineOf, type RowOutcome } from './line.js';
import { parseJson, readMembers } from './members.js';
import { keyOf, type Row } from './rows.js';
import type { RowOutput } from './stream.js';

/** What a line of the output says of itself, apart from the row's own fields. */
const lineSchema = z.looseObject({
  prediction: z.string().nullable(),
  status: z.enum(['completed', 'failed', 'cancelled']),
  batch: z.strictObject({ row: z.int(), hash: z.string(), settings: z.string() }),
});

interface Line {
  readonly text: string;
  readonly row: number;
  /** Undefined where the line lacks the field that names rows. */
  readonly key: string | undefined;
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
  /** The field that names a row; without, rows are known by their number. */
  readonly idField?: string;
}

/** A batch's output file: at most one line a row, each written whole and in the order in which the rows finish. */
export class BatchOutput implements RowOutput {
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
    const settings = digestSettings(options.settings);
    const byKey = new Map(options.rows.map((row) => [row.key, row]));
    const rowOf = ({ key = '', hash }: Line) => {
      const row = byKey.get(key);
      return row?.hash === hash ? row : undefined;
    };
    const text = await readIfThere(path);
    const lines = parseLines(text, path, options.idField);
    const kept = lines.filter((line) => rowOf(line) && (line.isCompleted || options.keepFailed));
    refuseOtherSettings(path, lines, settings);
    if (!options.replace)
      refuseStrangers(
        path,
        lines.filter((line) => line.isCompleted && !rowOf(line)),
      );
    const wanted = kept.map((line) => `${line.text}\n`).join('');
    if (wanted !== text) await replaceFile(path, wanted);
    const file = await openFile(path, 'a');
    return new BatchOutput(file, settings, new Set(kept.map((line) => rowOf(line)!.index)));
  }

  /** Appends a row as one write. */
  async append(row: Row, outcome: RowOutcome): Promise<void> {
    await this.#file.write(lineOf(row, outcome, this.#settings));
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

function refuseOtherSettings(path: string, lines: readonly Line[], settings: string): void {
  const other = lines.find((line) => line.settings !== settings);
  if (!other) return;
  throw settingsError(`${path} was made with other options (row ${other.row + 1}): choose another --out`);
}

function refuseStrangers(path: string, strangers: readonly Line[]): void {
  const [first] = strangers;
  if (!first) return;
  throw settingsError(
    `${path} holds ${plural(strangers.length, 'row')} that the input does not have ` +
      `(first: row ${first.row + 1}): choose another --out, or --replace to drop them`,
  );
}

/** The lines of an output, the first of each row. A last line that was torn off by a crash is left out. */
function parseLines(text: string, path: string, idField?: string): Line[] {
  const lines = text.split('\n');
  const last = lines.pop()!;
  if (last !== '' && !(last.startsWith('{') && parseJson(last) === undefined)) lines.push(last);
  const seen = new Set<string>();
  return lines.flatMap((line, i) => {
    const parsed = lineSchema.safeParse(parseJson(line));
    if (!parsed.success)
      throw settingsError(`line ${i + 1} of ${path} is not a row of a batch: choose another --out`);
    const { batch, status } = parsed.data;
    const members = idField === undefined ? [] : readMembers(line)!;
    const key = keyOf(members, batch.row, idField);
    const name = key ?? `line ${batch.row + 1}`;
    if (seen.has(name)) return [];
    seen.add(name);
    return [{ text: line, ...batch, key, isCompleted: status === 'completed' }];
  });
}

async function readIfThere(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw settingsError(`cannot read ${path}: ${(error as Error).message}`);
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

/** By which a line says with which options it was made. */
export function digestSettings(settings: JobSettings): string {
  return createHash('sha256').update(JSON.stringify(settings)).digest('hex').slice(0, 16);
}
