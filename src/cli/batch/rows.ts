import { createHash } from 'node:crypto';
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { askJobSchema } from '../../../queues/schemas.js';

/** One line of the input file. */
export interface Row {
  /** Number of the line, from 0, blank lines not counted. */
  readonly index: number;
  /** Digest of the line's text: with the index, the identity of the row when a batch goes on. */
  readonly hash: string;
  /** The line's fields, carried through to the output. */
  readonly fields: Readonly<Record<string, unknown>>;
  /** What is asked; absent where the row is at fault. */
  readonly ask?: { readonly video: string; readonly question: string };
  /** What is wrong with the row itself. */
  readonly error?: string;
}

/** What one job may hold: the schema's number of questions, and text well below the size of a job. */
const maxQuestions = 256;
const maxCharacters = 200_000;

const rowSchema = z.looseObject({
  video: askJobSchema.shape.video,
  question: z
    .string()
    .max(16_384)
    .refine((text) => text.trim() !== '', 'the question is empty'),
});

/** Reads the rows of a JSONL text; paths of videos are relative to the folder of `file`. A bad line is a row with an error. */
export function parseRows(text: string, file: string): Row[] {
  const lines = text
    .replace(/^\uFEFF/, '')
    .split('\n')
    .filter((line) => line.trim() !== '');
  return lines.map((line, index) => parseRow(line.trim(), index, dirname(resolve(file))));
}

function parseRow(line: string, index: number, folder: string): Row {
  const hash = createHash('sha256').update(line).digest('hex').slice(0, 16);
  const fields = parseObject(line);
  if (!fields) return { index, hash, fields: { line }, error: 'the line is not a JSON object' };
  const parsed = rowSchema.safeParse(fields);
  if (!parsed.success) return { index, hash, fields, error: rowFault(parsed.error, fields) };
  const { video, question } = parsed.data;
  return { index, hash, fields, ask: { video: resolve(folder, video), question } };
}

function rowFault(error: z.ZodError, fields: Record<string, unknown>): string {
  const missing = ['video', 'question'].filter((name) => typeof fields[name] !== 'string');
  if (missing.length > 0) return `the row needs \`${missing.join('` and `')}\` as text`;
  return error.issues[0]!.message;
}

function parseObject(line: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}

/** Rows about one video, answered by one job so that the video is encoded once. */
export interface Group {
  readonly video: string;
  readonly rows: readonly Row[];
}

/** Groups rows by video, in the order in which the videos first occur. */
export function groupByVideo(rows: readonly Row[]): Group[] {
  const groups: { video: string; rows: Row[] }[] = [];
  const open = new Map<string, Row[]>();
  for (const row of rows) {
    if (!row.ask) continue;
    const { video } = row.ask;
    const current = open.get(video);
    if (current && hasRoom(current, row)) {
      current.push(row);
    } else {
      const fresh = [row];
      open.set(video, fresh);
      groups.push({ video, rows: fresh });
    }
  }
  return groups;
}

function hasRoom(group: readonly Row[], row: Row): boolean {
  const characters = [...group, row].reduce((sum, { ask }) => sum + ask!.question.length, 0);
  return group.length < maxQuestions && characters <= maxCharacters;
}
