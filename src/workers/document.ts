import { type AskJob, type Result, resultSchema } from '../../queues/schemas.js';
import type { AnswerOutcome } from '../pipeline/types.js';

/** What of a job its document says again, so that it tells by itself what made the answers. */
const repeated = ['sampling', 'compression', 'overTime', 'generation', 'strict'] as const;

export interface ResultParts {
  readonly id: string;
  readonly job: Pick<AskJob, (typeof repeated)[number] | 'tags'>;
  readonly outcome: AnswerOutcome;
  /** sha256 of the video file, hex: see FileDigests. */
  readonly videoDigest: string;
  readonly model: { readonly name: string; readonly digest: string; readonly dtype: string };
  /** Name of the worker, and the number of its attempt. */
  readonly worker?: string;
  readonly attempt?: number;
  /** Name of what was seen, where it was kept. */
  readonly sight?: string;
  /** From enqueue to the start of the attempt, in milliseconds; default 0: there was no queue. */
  readonly queueMs?: number;
  /** For each answer whether it was stored before and nothing was computed for it; default none. */
  readonly cached?: readonly boolean[];
}

/** The document of a completed job: the same from a worker and from a command without a queue. */
export function buildResult(parts: ResultParts): Result {
  const { id, job, outcome, videoDigest, model, queueMs = 0, cached = [], worker, attempt } = parts;
  const { path, sizeBytes, codec, durationSeconds, fps, width, height, warnings } = outcome.video;
  const answers = outcome.answers.map((answer, i) => ({ ...answer, cached: cached[i] ?? false }));
  return resultSchema.parse({
    id,
    status: 'completed',
    cached: answers.length > 0 && answers.every((answer) => answer.cached),
    video: { path, digest: videoDigest, sizeBytes, codec, durationSeconds, fps, width, height, warnings },
    answers,
    plan: outcome.plan,
    reused: outcome.reused,
    tokens: outcome.tokens,
    frames: outcome.frames,
    ...(parts.sight !== undefined && { sight: parts.sight }),
    timings: { ...outcome.timings, queueMs },
    model: { name: model.name, digest: model.digest, dtype: model.dtype },
    settings: Object.fromEntries(repeated.map((name) => [name, job[name]])),
    ...(job.tags && { tags: job.tags }),
    ...(worker !== undefined && { worker, attempt }),
    finishedAt: new Date().toISOString(),
  });
}
