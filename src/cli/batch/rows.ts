import { createHash } from 'node:crypto';
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { askJobSchema } from '../../../queues/schemas.js';
import { usageError } from '../exit.js';
import { parseTime } from '../options.js';
import { type Member, readMembers, valueText } from './members.js';

/** Part of a video, in seconds from its first frame. */
export interface Range {
  readonly startSeconds?: number;
  readonly endSeconds?: number;
}

/** One line of the input file. */
export interface Row {
  /** Number of the line, from 0, blank lines not counted. */
  readonly index: number;
  /** Digest of the line's text: with the key, the identity of the row when a batch goes on. */
  readonly hash: string;
  /** The number of the line, or what stands in the field that names rows. */
  readonly key: string;
  /** The line's fields, carried through to the output as they are. */
  readonly members: readonly Member[];
  /** What is asked; absent where the row is at fault. */
  readonly ask?: { readonly video: string; readonly question: string; readonly range: Range };
  /** What is wrong with the row itself. */
  readonly error?: string;
}

const rowSchema = z.looseObject({
  video: askJobSchema.shape.video,
  question: z
    .string()
    .max(16_384)
    .refine((text) => text.trim() !== '', 'the question is empty'),
});

/** Fields that look like options of a question but say the same of all rows: see `namesOfOptions`. */
const optionNames = new Set(
  [
    ...['frames', 'fps', 'maxFrames', 'compression', 'maxNewTokens', 'temperature', 'topK', 'topP', 'seed'],
    ...['repetitionPenalty', 'stop', 'model', 'strict', 'sampling', 'generation'],
  ].flatMap((name) => [name, name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)]),
);

/**
 * Reads the rows of a JSONL text; paths of videos are relative to the folder of `file`. A bad line is a row with an error.
 *
 * @param idField the field that names a row; without, rows are known by their number.
 * @throws a usage error for two rows of one name.
 */
export function parseRows(text: string, file: string, idField?: string): Row[] {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const folder = dirname(resolve(file));
  const rows = lines.map((line, index) => parseRow(line.trim(), index, folder, idField));
  if (idField !== undefined) refuseTwins(rows, idField);
  return rows;
}

/** What names a row: its number, or the text of a field; undefined where it lacks that field. */
export function keyOf(members: readonly Member[], index: number, idField?: string): string | undefined {
  if (idField === undefined) return String(index);
  const text = valueText(members, idField);
  return text !== undefined && /^["\d-]/.test(text) ? text : undefined;
}

function parseRow(line: string, index: number, folder: string, idField?: string): Row {
  const hash = createHash('sha256').update(line).digest('hex').slice(0, 16);
  const members = readMembers(line);
  const key = keyOf(members ?? [], index, idField);
  const row = { index, hash, key: key ?? `line ${index + 1}` };
  if (!members) {
    const whole = { name: 'line', text: `"line":${JSON.stringify(line)}` };
    return { ...row, members: [whole], error: 'the line is not a JSON object' };
  }
  if (key === undefined)
    return { ...row, members, error: `the row needs \`${idField}\`, its name, as text or a number` };
  try {
    return { ...row, members, ask: parseAsk(JSON.parse(line), folder) };
  } catch (error) {
    return { ...row, members, error: (error as Error).message };
  }
}

/** @throws RangeError that says what is wrong with the row. */
function parseAsk(fields: Record<string, unknown>, folder: string): NonNullable<Row['ask']> {
  const missing = ['video', 'question'].filter((name) => typeof fields[name] !== 'string');
  if (missing.length > 0) throw new RangeError(`the row needs \`${missing.join('` and `')}\` as text`);
  const parsed = rowSchema.safeParse(fields);
  if (!parsed.success) throw new RangeError(parsed.error.issues[0]!.message);
  const startSeconds = readTime(fields, 'start', 'startSeconds');
  const endSeconds = readTime(fields, 'end', 'endSeconds');
  const range = {
    ...(startSeconds !== undefined && { startSeconds }),
    ...(endSeconds !== undefined && { endSeconds }),
  };
  return { video: resolve(folder, parsed.data.video), question: parsed.data.question, range };
}

/** Null is as if it were not there, as tables have it. */
function readTime(fields: Record<string, unknown>, name: string, inSeconds: string): number | undefined {
  const given = [name, inSeconds].filter((field) => fields[field] != null);
  if (given.length > 1)
    throw new RangeError(`the row has \`${name}\` and \`${inSeconds}\`: give one of them`);
  const [field] = given;
  if (field === undefined) return undefined;
  const value = fields[field];
  const seconds = typeof value === 'string' ? parseTime(value) : value;
  if (typeof seconds === 'number' && seconds >= 0 && Number.isFinite(seconds)) return seconds;
  const found = typeof value === 'number' ? value : JSON.stringify(value);
  throw new RangeError(`\`${field}\` of the row: expected seconds, m:ss or h:mm:ss, got ${found}`);
}

function refuseTwins(rows: readonly Row[], idField: string): void {
  const seen = new Map<string, Row>();
  for (const row of rows) {
    const twin = seen.get(row.key);
    if (twin) {
      throw usageError(
        `--id-field ${idField}: rows ${twin.index + 1} and ${row.index + 1} are both named ${row.key}`,
      );
    }
    seen.set(row.key, row);
  }
}

/** The fields of rows that bear the name of an option, which is not read from rows. */
export function namesOfOptions(rows: readonly Row[]): string[] {
  const names = new Set(rows.flatMap(({ members }) => members.map(({ name }) => name)));
  return [...names].filter((name) => optionNames.has(name));
}
