import { z } from 'zod';
import {
  askJobSchema,
  documentSchema,
  faultSchema,
  progressSchema,
  tagsSchema,
} from '../../../queues/schemas.js';

/*
 * What the dashboard's API takes and gives: the pages use it, the OpenAPI description is made from it. Times are milliseconds since
 * 1970 where they end in `At`, durations end in their unit.
 */

const at = z.number().describe('milliseconds since 1970');
const ms = z.number().min(0);
const count = z.int().min(0);

/** Where a job stands. Cancelled is not failed. */
export const stateSchema = z.enum(['waiting', 'delayed', 'active', 'completed', 'failed', 'cancelled']);
export type JobState = z.infer<typeof stateSchema>;

/** A job as lists show it. */
export const jobRowSchema = z.strictObject({
  id: z.string(),
  /** File name of the video, and its first question. */
  video: z.string(),
  question: z.string(),
  questions: count,
  model: z.string(),
  state: stateSchema,
  /** The run of `batch` that it belongs to. */
  dataset: z.string().nullable(),
  tags: tagsSchema,
  priority: count,
  createdAt: at,
  startedAt: at.nullable(),
  finishedAt: at.nullable(),
  /** In the queue, before the last attempt. */
  waitMs: ms.nullable(),
  totalMs: ms.nullable(),
  firstTokenMs: ms.nullable(),
  attempts: count,
  worker: z.string().nullable(),
  /** The first ones, shortened. */
  answers: z.array(z.string()),
  /** Whether every answer was stored before; what of the video was there before. */
  cached: z.boolean(),
  reused: z.enum(['none', 'tokens', 'prefix']),
  frames: count.nullable(),
  tokens: z.strictObject({ before: count, after: count }).nullable(),
  fault: faultSchema.nullable(),
  /** Failures of one class differ in names and numbers alone. */
  errorClass: z.string().nullable(),
  error: z.string().nullable(),
  /** While it runs. */
  progress: progressSchema.omit({ answered: true }).nullable(),
});
export type JobRow = z.infer<typeof jobRowSchema>;

const words = z.string().max(512);

/** In an address a number is text; no text at all is none, though JavaScript takes it for 0. */
function numeric<S extends z.ZodNumber | z.ZodDefault<z.ZodNumber>>(schema: S) {
  return z.preprocess(
    (value) => (typeof value === 'string' && value.trim() !== '' ? Number(value) : value),
    schema,
  );
}

/** Which jobs; all conditions together. */
export const jobFilterSchema = z.strictObject({
  state: z.array(stateSchema).optional(),
  /** Words that the video's name, a question, an answer, the error or the id contains, each of them. */
  text: words.optional(),
  video: words.optional(),
  question: words.optional(),
  answer: words.optional(),
  model: words.optional(),
  dataset: words.optional(),
  worker: words.optional(),
  errorClass: words.optional(),
  /** Duration of the job, in milliseconds. */
  minMs: numeric(z.number().min(0)).optional(),
  maxMs: numeric(z.number().min(0)).optional(),
  /** When it was enqueued. */
  from: numeric(z.number()).optional(),
  to: numeric(z.number()).optional(),
});
export type JobFilter = z.infer<typeof jobFilterSchema>;

export const jobOrderSchema = z.enum(['newest', 'oldest', 'slowest', 'fastest', 'finished']);

/** A page of them. */
export const jobQuerySchema = jobFilterSchema.extend({
  order: jobOrderSchema.default('newest'),
  offset: numeric(z.int().min(0).default(0)),
  limit: numeric(z.int().min(1).max(500).default(50)),
});

/** How much of the queue the dashboard has read since it started. */
export const indexSchema = z.strictObject({ jobs: count, of: count, isComplete: z.boolean() });

export const jobListSchema = z.strictObject({
  total: count,
  rows: z.array(jobRowSchema),
  index: indexSchema,
});
export type JobList = z.infer<typeof jobListSchema>;

/** An attempt at a job, as a bar of its waterfall. */
export const attemptSchema = z.strictObject({
  attempt: count,
  worker: z.string().nullable(),
  startedAt: at.nullable(),
  endedAt: at.nullable(),
  /** Null while it runs, and of the one that succeeded. */
  reason: z.string().nullable(),
});

export const jobDetailSchema = z.strictObject({
  row: jobRowSchema,
  /** As it lies in the queue; null where only its document is left, or where it is not one of ours. */
  job: askJobSchema.nullable(),
  document: documentSchema.nullable(),
  attempts: z.array(attemptSchema),
  logs: z.array(z.string()),
  /** Whether its frames are still kept, and whether this machine can play its video. */
  hasSight: z.boolean(),
  hasVideo: z.boolean(),
  /** The command lines of what this page shows, ready to be copied. */
  commands: z.array(z.strictObject({ title: z.string(), command: z.string() })),
});
export type JobDetail = z.infer<typeof jobDetailSchema>;

/** Failures that differ in names and numbers alone. */
export const errorGroupSchema = z.strictObject({
  errorClass: z.string(),
  fault: faultSchema.nullable(),
  count,
  firstAt: at,
  lastAt: at,
  example: z.strictObject({ id: z.string(), video: z.string(), error: z.string() }),
});
export const errorListSchema = z.strictObject({ groups: z.array(errorGroupSchema), index: indexSchema });
export type ErrorGroup = z.infer<typeof errorGroupSchema>;

/** What filters offer. */
export const facetsSchema = z.strictObject({
  models: z.array(z.string()),
  datasets: z.array(z.string()),
  workers: z.array(z.string()),
  errorClasses: z.array(z.string()),
});
export type Facets = z.infer<typeof facetsSchema>;

const stagePercentiles = z.strictObject({ stage: z.string(), count, p50: ms, p90: ms, p99: ms });

export const workerSchema = z.strictObject({
  name: z.string(),
  address: z.string(),
  ageSeconds: z.number(),
  version: z.string().nullable(),
  sandbox: z.string().nullable(),
  concurrency: count.nullable(),
  /** What it does now. */
  jobs: z.array(jobRowSchema),
});

/** All of the first page. */
export const overviewSchema = z.strictObject({
  at,
  queue: z.strictObject({
    name: z.string(),
    prefix: z.string(),
    address: z.string(),
    isPaused: z.boolean(),
  }),
  counts: z.strictObject({
    waiting: count,
    delayed: count,
    active: count,
    completed: count,
    failed: count,
    cancelled: count,
  }),
  /** Jobs that ended, in equal steps of time, the oldest first; empty steps are there, too. */
  series: z.strictObject({
    stepSeconds: count,
    points: z.array(z.strictObject({ at, completed: count, failed: count, cancelled: count })),
  }),
  /** Of the jobs that were computed in the series' time. */
  stages: z.array(stagePercentiles),
  jobsPerMinute: z.number(),
  /** How long the workers that are connected take for what waits, at their rate so far; null while there is none. */
  secondsOfWork: z.number().nullable(),
  tokens: z.strictObject({ before: count, after: count }),
  /** Jobs answered from stored answers, stored tokens, and held prefixes, of all in the series' time. */
  reuse: z.strictObject({ jobs: count, cached: count, tokens: count, prefix: count }),
  /** Null where the server does not say. */
  workers: z.array(workerSchema).nullable(),
  redis: z.strictObject({
    version: z.string(),
    usedMemoryBytes: count,
    /** 0: no limit. */
    maxMemoryBytes: count,
    maxMemoryPolicy: z.string(),
  }),
  index: indexSchema,
});
export type Overview = z.infer<typeof overviewSchema>;

/** Series of the overview. */
export const overviewQuerySchema = z.strictObject({
  hours: numeric(z.number().positive().max(168).default(1)),
});

const share = z.strictObject({ right: count, count, value: z.number(), low: z.number(), high: z.number() });

/** A run of `batch`. */
export const datasetSchema = z.strictObject({
  id: z.string(),
  /** The tag `run` of its jobs, by which they are filtered as `dataset`; the parts of a file have it in common. */
  run: z.string(),
  name: z.string(),
  state: z.enum(['running', 'paused', 'draining', 'done', 'stopped', 'lost']),
  startedAt: at,
  updatedAt: at,
  host: z.string(),
  file: z.string(),
  out: z.string(),
  model: z.string().nullable(),
  /** Null while they are not counted. */
  total: count.nullable(),
  done: count,
  failed: count,
  cancelled: count,
  rowsPerMinute: z.number().nullable(),
  secondsLeft: z.number().nullable(),
  accuracy: share.nullable(),
  byKind: z.array(share.extend({ kind: z.string() })),
  failures: z.array(z.strictObject({ kind: z.string(), count, example: z.string() })),
  /** Whether this machine can read its answers, for a report. */
  hasReport: z.boolean(),
});
export const datasetListSchema = z.strictObject({ datasets: z.array(datasetSchema) });
export type Dataset = z.infer<typeof datasetSchema>;

/** The id of a run before, to be compared with. */
export const reportQuerySchema = z.strictObject({ before: z.string().optional() });

export const datasetActionSchema = z.enum(['pause', 'resume', 'drain', 'stop']);

/** What is well, and what to do about what is not. */
export const checkSchema = z.strictObject({
  name: z.string(),
  level: z.enum(['ok', 'warn', 'bad', 'unknown']),
  /** As a sentence: what was found. */
  found: z.string(),
  /** As a sentence: what to do; null where there is nothing to do. */
  advice: z.string().nullable(),
});
export const healthSchema = z.strictObject({ checks: z.array(checkSchema) });
export type Health = z.infer<typeof healthSchema>;

/** Who looks, and what they may. */
export const sessionSchema = z.strictObject({
  /** To be sent as `X-CSRF-Token` with each write. */
  csrf: z.string(),
  isReadOnly: z.boolean(),
  /** Whether there is a way to log out. */
  isLoggedIn: z.boolean(),
  version: z.string(),
  queue: z.string(),
});
export type Session = z.infer<typeof sessionSchema>;

/** A question about the video of another job, or about any video; `AskJobInput` with defaults. */
export const askedSchema = z.strictObject({ id: z.string() });

/** For many jobs at once: at most `limit` of those that can be cancelled, or asked again, the oldest first. */
export const bulkSchema = z.strictObject({
  action: z.enum(['cancel', 'retry']),
  filter: jobFilterSchema,
  limit: z.int().min(1).max(100_000).default(10_000),
});
/** How many met the filter, of how many that was done, and the rest. */
export const bulkOutcomeSchema = z.strictObject({ matched: count, done: count, skipped: count });

export const actionOutcomeSchema = z.strictObject({
  outcome: z.enum(['cancelled', 'requested', 'finished', 'unknown', 'retried']),
});

export const problemSchema = z.strictObject({
  /** As a sentence: what was expected, and what was found. */
  error: z.string(),
});

/**
 * Events of `GET /api/live`, each as JSON: `overview` when something changed, at most once a second; `job` for each job that changed
 * (lists and pages of jobs take it up); `away` while Redis does not answer, and `back`.
 */
export const liveEventSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('overview'), overview: overviewSchema }),
  z.strictObject({ type: z.literal('job'), row: jobRowSchema }),
  z.strictObject({ type: z.literal('away'), error: z.string() }),
  z.strictObject({ type: z.literal('back') }),
]);
export type LiveEvent = z.infer<typeof liveEventSchema>;
