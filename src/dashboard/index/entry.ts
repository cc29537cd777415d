import { basename } from 'node:path';
import { z } from 'zod';
import { failureDocument } from '../../../queues/documents.js';
import { type FaultKind, tagsSchema } from '../../../queues/schemas.js';
import { errorClassOf } from '../../batch/error-class.js';
import { stageNames } from '../../pipeline/timings.js';
import type { JobRow, JobState } from '../api/schemas.js';
import type { JobRecord } from './record.js';
import { haystackOf } from './words.js';

/** A job in the index. */
export interface Entry {
  readonly row: JobRow;
  /** What is searched, ready for it. */
  readonly haystack: string;
  /** How long its stages took, in the order of `stageNames`; null where nothing is known of it. */
  readonly stages: readonly number[] | null;
  /** Whether the queue has no record of it any more, only a document. */
  readonly isDetached: boolean;
  /** Another entry has taken its place, or none. */
  isGone: boolean;
  /** When it was last told how far the job is, by the count of all that was told; 0 where nothing was. */
  toldAt: number;
}

const shownCharacters = 300;
const shownAnswers = 4;

const counted = z.number().int().min(0);
const reuses = z.enum(['none', 'tokens', 'prefix']);
const question = z.union([
  z.string(),
  z.object({ question: z.string() }).transform((asked) => asked.question),
]);

/** What producers of any version wrote. */
const jobData = z.object({
  video: z.string().catch(''),
  questions: z.union([z.array(question.catch('')), question.transform((one) => [one])]).catch([]),
  model: z.string().catch(''),
  tags: tagsSchema.catch({}),
});

/** A `JobSummary` as workers of any version wrote it: of one that says other things, what is known of it still counts. */
const summarySchema = z.object({
  cached: z.boolean().catch(false),
  answers: z.array(z.string()).catch([]),
  frames: counted.nullable().catch(null),
  tokens: z.object({ before: counted, after: counted }).nullable().catch(null),
  reused: reuses.catch('none'),
  timings: z.record(z.string(), z.unknown()).nullable().catch(null),
});
const noSummary = summarySchema.parse({});

/** Where a job stands of which nothing was told: where it stood, unless it ended and was asked again. */
export function stateOf({ processedOn }: JobRecord, known: JobRow | null): JobState {
  if (known?.finishedAt === null) return known.state;
  return processedOn === null ? 'waiting' : 'active';
}

/** Names that many jobs have in common are kept once. */
const names = new Map<string, string>();

/**
 * The entry of a job as it lies in the queue.
 *
 * @param state by the set in which it was found, or by what was told of it last; that it has ended its record says itself
 */
export function entryOf(id: string, record: JobRecord, state: JobState): Entry {
  const data = jobData.parse(parseObject(record.data));
  const done = record.returnvalue === null ? noSummary : summarySchema.parse(parseObject(record.returnvalue));
  const { timings } = done;
  const took = between(record.processedOn, record.finishedOn);
  const failure = failureOf(id, record);
  const now = failure ? failure.state : record.finishedOn === null ? state : 'completed';
  const row: JobRow = {
    id,
    video: cut(basename(data.video)),
    question: cut(data.questions[0] ?? ''),
    questions: data.questions.length,
    model: shared(data.model),
    state: now,
    dataset: data.tags.run === undefined ? null : shared(data.tags.run),
    tags: data.tags,
    priority: record.priority,
    createdAt: record.timestamp,
    startedAt: record.processedOn,
    finishedAt: record.finishedOn,
    waitMs: between(record.timestamp, record.processedOn),
    totalMs: numberOf(timings?.totalMs) ?? took,
    firstTokenMs: numberOf(timings?.firstTokenMs),
    attempts: record.attempts,
    worker: record.worker === null ? null : shared(record.worker),
    answers: done.answers.slice(0, shownAnswers).map(cut),
    cached: done.cached,
    reused: done.reused,
    frames: done.frames,
    tokens: done.tokens,
    ...(failure?.fields ?? noFailure),
    progress: now === 'active' ? record.progress : null,
  };
  return {
    row,
    haystack: haystackOf({ ...row, questions: data.questions, answers: done.answers }),
    stages: timings && stageNames.map((name) => numberOf(timings[name]) ?? 0),
    isDetached: false,
    isGone: false,
    toldAt: 0,
  };
}

const noFailure = { fault: null, errorClass: null, error: null } as const;

function failureOf(id: string, { finishedOn, returnvalue, failedReason }: JobRecord) {
  // A job that was tried again and completed still has the reason of its first attempt.
  if (finishedOn === null || returnvalue !== null) return null;
  const { status, error, fault } = failureDocument(id, failedReason ?? '', { finishedOn });
  if (status === 'cancelled') return { state: status, fields: { ...noFailure, error } };
  const errorClass = shared(errorClassOf(error));
  return { state: status, fields: { fault: fault as FaultKind, errorClass, error: error.slice(0, 2_000) } };
}

function between(from: number | null, to: number | null): number | null {
  return from === null || to === null ? null : Math.max(0, to - from);
}

function numberOf(value: unknown): number | null {
  return typeof value === 'number' && value >= 0 ? value : null;
}

function cut(text: string): string {
  if (text.length <= shownCharacters) return text;
  // A plain slice would keep the whole text in memory.
  const whole = text.slice(0, shownCharacters).replace(/[\ud800-\udbff]$/, '');
  return `${Buffer.from(whole).toString()}…`;
}

function shared(name: string): string {
  const known = names.get(name);
  if (known !== undefined) return known;
  if (names.size > 10_000) names.clear();
  names.set(name, name);
  return name;
}

function parseObject(text: string | null): object {
  try {
    const value: unknown = JSON.parse(text ?? '');
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {};
  } catch {
    return {};
  }
}
