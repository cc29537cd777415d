import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import { z } from 'zod';
import { askJobSchema } from '../../queues/schemas.js';
import { parseTime } from '../format.js';
import type { Question } from '../pipeline/types.js';
import { readAnswer, readOptions } from './choices.js';
import { columnOf, type Layout, namesOf, type Role } from './layout.js';
import { type Member, readMembers, valueText } from './members.js';
import { wordQuestion } from './question.js';
import type { SourceRow } from './readers/index.js';

/** Part of a video, in seconds from its first frame. */
export interface Range {
  readonly startSeconds?: number;
  readonly endSeconds?: number;
}

/** What a row asks. */
export interface RowAsk {
  /** Path of the file; its name where it is still to be looked for. */
  readonly video: string;
  /** With the options, if there are any, as the model shall see them. */
  readonly question: Question;
  readonly range: Range;
  /** How many frames are looked at, where the row says so. */
  readonly frames?: number;
}

/** What a row says, for those who judge its answer. */
export interface RowKey {
  /** As the row names it. */
  readonly video: string;
  /** The question alone. */
  readonly question: string;
  /** What there is to choose from, without letters. */
  readonly options?: readonly string[];
  /** The right answer, or several of which each is right; of a row with options its letter. */
  readonly answer?: string | readonly string[];
  readonly category?: string;
}

/** What a row is known by, whatever its place. */
export interface Identity {
  /** Digest of the row's text. */
  readonly hash: string;
  /** What stands in the field that names rows; undefined where there is no such field, or the row lacks it. */
  readonly key?: string;
}

/** One row of the input file. */
export interface Row extends Identity {
  /** Its number, from 0, blank lines not counted. */
  readonly index: number;
  /** The row's fields, carried through to the output as they are. */
  readonly members: readonly Member[];
  /** What is asked; absent where the row is at fault. */
  readonly ask?: RowAsk;
  readonly given?: RowKey;
  /** What is wrong with the row itself. */
  readonly error?: string;
}

const videoSchema = askJobSchema.shape.video;
const questionSchema = z
  .string()
  .max(16_384, {
    error: ({ input }) => `the question has ${(input as string).length} characters, at most 16,384 are asked`,
  })
  .refine((text) => text.trim() !== '', 'the question is empty');
const framesSchema = z.int().min(1).max(4096);

/** Fields that look like options of a question but say the same of all rows: see `namesOfOptions`. */
const optionNames = new Set(
  [
    ...['fps', 'maxFrames', 'compression', 'maxNewTokens', 'temperature', 'topK', 'topP', 'seed'],
    ...['repetitionPenalty', 'stop', 'model', 'strict', 'sampling', 'generation'],
  ].flatMap((name) => [name, name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)]),
);

export function identify({ text }: SourceRow, idField?: string): Identity {
  const hash = createHash('sha256').update(text).digest('hex').slice(0, 16);
  if (idField === undefined) return { hash };
  return { hash, key: keyOf(readMembers(text) ?? [], idField) };
}

/** The text of the field that names a row; undefined where it has none that is text or a number. */
export function keyOf(members: readonly Member[], idField: string): string | undefined {
  const text = valueText(members, idField);
  return text !== undefined && /^["\d-]/.test(text) ? text : undefined;
}

/** Reads a row. A bad one is a row with an error. */
export function parseRow(source: SourceRow, index: number, layout: Layout): Row {
  const row = { index, ...identify(source, layout.idField) };
  const members = source.error === undefined ? readMembers(source.text) : null;
  if (!members) {
    const whole = { name: 'line', text: `"line":${JSON.stringify(source.text)}` };
    return { ...row, members: [whole], error: source.error ?? 'the line is not a JSON object' };
  }
  if (layout.idField !== undefined && row.key === undefined)
    return { ...row, members, error: `the row needs \`${layout.idField}\`, its name, as text or a number` };
  try {
    return { ...row, members, ...readFields(JSON.parse(source.text), layout) };
  } catch (error) {
    return { ...row, members, error: (error as Error).message };
  }
}

type Fields = Readonly<Record<string, unknown>>;

/** @throws RangeError that says what is wrong with the row. */
function readFields(fields: Fields, layout: Layout): Required<Pick<Row, 'ask' | 'given'>> {
  const { preset, folder } = layout;
  const name = videoText(fieldOf(fields, 'video', layout));
  const question = fieldOf(fields, 'question', layout);
  const missing = [
    ...(name === undefined ? [columnOf('video', layout)] : []),
    ...(typeof question === 'string' ? [] : [columnOf('question', layout)]),
  ];
  if (missing.length > 0) throw new RangeError(`the row needs ${missing.join(' and ')} as text`);
  const video = check(videoSchema, preset?.videoName?.(name!) ?? name!);
  const given = readKey(fields, video, check(questionSchema, question), layout);
  // A row without options, in a file of those that have some, is an open question.
  const isOpen = given.options === undefined && layout.columns.options !== undefined;
  const frames = readFrames(fieldOf(fields, 'frames', layout));
  const range = readRange(fields, layout);
  return {
    ask: {
      video: folder === null ? video : resolve(folder, video),
      question: wordQuestion(given.question, given.options, isOpen ? undefined : preset?.wording),
      range,
      ...(frames && { frames }),
    },
    given,
  };
}

function check<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw new RangeError(parsed.error.issues[0]!.message);
  return parsed.data;
}

function fieldOf(fields: Fields, role: Role, layout: Layout): unknown {
  const name = namesOf(role, layout).find((name) => fields[name] != null && fields[name] !== '');
  return name === undefined ? undefined : fields[name];
}

/** Many benchmarks name their videos by numbers. */
function videoText(value: unknown): string | undefined {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value);
  return typeof value === 'string' ? value : undefined;
}

function readKey(fields: Fields, video: string, question: string, layout: Layout): RowKey {
  const values = namesOf('options', layout).map((name) => fields[name]);
  const options = readOptions(values.map((value) => (value === layout.preset?.noOption ? null : value)));
  const answer = readAnswer(fieldOf(fields, 'answer', layout), options, layout.preset?.answerIs);
  const value = fieldOf(fields, 'category', layout) ?? layout.preset?.categoryOf?.(layout.file);
  const category = value === undefined || typeof value === 'string' ? value : JSON.stringify(value);
  return {
    ...{ video, question },
    ...(options && { options }),
    ...(answer && { answer }),
    ...(category && { category }),
  };
}

function readRange(fields: Fields, layout: Layout): Range {
  const startSeconds = readTime(fields, namesWithSeconds('start', layout));
  const endSeconds = readTime(fields, namesWithSeconds('end', layout));
  if (startSeconds !== undefined && endSeconds !== undefined && startSeconds >= endSeconds)
    throw new RangeError(`the row's end, ${endSeconds} s, must be behind its start, ${startSeconds} s`);
  return {
    ...(startSeconds !== undefined && { startSeconds }),
    ...(endSeconds !== undefined && { endSeconds }),
  };
}

function namesWithSeconds(role: 'start' | 'end', layout: Layout): readonly string[] {
  const names = namesOf(role, layout);
  return names.length === 1 && names[0] === role ? [role, `${role}Seconds`] : names;
}

/** Null, and an empty cell, is as if it were not there, as tables have it. */
function readTime(fields: Fields, names: readonly string[]): number | undefined {
  const given = names.filter((name) => fields[name] != null && fields[name] !== '');
  const [field] = given;
  if (given.length > 1) throw new RangeError(`the row has \`${given.join('` and `')}\`: give one of them`);
  if (field === undefined) return undefined;
  const value = fields[field];
  const seconds = typeof value === 'string' ? parseTime(value) : value;
  if (typeof seconds === 'number' && seconds >= 0 && Number.isFinite(seconds)) return seconds;
  const found = typeof value === 'number' ? value : JSON.stringify(value);
  throw new RangeError(`\`${field}\` of the row: expected seconds, m:ss or h:mm:ss, got ${found}`);
}

function readFrames(value: unknown): number | undefined {
  if (value === undefined) return undefined;
  const parsed = framesSchema.safeParse(typeof value === 'string' ? Number(value) : value);
  if (parsed.success) return parsed.data;
  throw new RangeError(
    `\`frames\` of the row: expected a whole number from 1 to 4096, got ${JSON.stringify(value)}`,
  );
}

/** The fields of rows that bear the name of an option, which is not read from rows. */
export function namesOfOptions(rows: Iterable<Pick<Row, 'members'>>): string[] {
  const names = new Set([...rows].flatMap(({ members }) => members.map(({ name }) => name)));
  return [...names].filter((name) => optionNames.has(name));
}
