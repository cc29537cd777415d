/** What a producer of jobs needs; everything else in this folder is between the client and the workers. */

export type { WorkerAbout } from './about.js';
export { type Attempt, attemptSchema, readAttempts } from './attempts.js';
export {
  type AskAndWaitOptions,
  type CancelOutcome,
  QueueClient,
  type QueueClientOptions,
  type QueueStatus,
} from './client.js';
export { type RedisConnection, RedisUnavailableError } from './connection.js';
export { UnreadableDocumentError } from './documents.js';
export { JobConflictError, JobRefusedError, UnknownJobError } from './errors.js';
export type { WaitOptions } from './events.js';
export type { RedisHealth } from './health.js';
export {
  defaultAttempts,
  defaultBackoffMs,
  defaultPrefix,
  defaultQueue,
  defaultRetentionSeconds,
} from './options.js';
export {
  type RunControl,
  type RunControlOutcome,
  type RunRecord,
  type RunState,
  runControls,
  runRecordSchema,
  runStateSchema,
} from './runs.js';
export * from './schemas.js';
export { type Sight, type SightFrame, sightFrameSchema, sightSchema, unpackSight } from './sight.js';
export type { StreamOptions } from './stream.js';
export { type JobSummary, readSummary, summarySchema } from './summary.js';
export type { StreamEvent } from './transcript.js';
