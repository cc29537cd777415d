import type { Queue } from 'bullmq';
import type { RedisClient } from './connection.js';
import { type Documents, failureDocument } from './documents.js';
import { cancelledReason, type Keys } from './options.js';
import { findOutcome } from './outcome.js';
import type { AskJob } from './schemas.js';

/** `finished`: it was already; `unknown`: no job and no document of that id. */
export type CancelOutcome = 'cancelled' | 'requested' | 'finished' | 'unknown';

export interface CancelParts {
  readonly queue: Queue<AskJob>;
  readonly redis: RedisClient;
  readonly keys: Keys;
  readonly documents: Documents;
  readonly retentionSeconds: number;
}

/** Removes a job that waits; one that runs is asked to stop. */
export async function cancelJob(
  { queue, redis, keys, documents, retentionSeconds }: CancelParts,
  id: string,
): Promise<CancelOutcome> {
  if ((await findOutcome(queue, documents, id)).document) return 'finished';
  const job = await queue.getJob(id);
  // A key of the queue itself, such as `meta`, is no job, and BullMQ would remove it as one.
  if (job?.name === undefined) return 'unknown';
  if (!(await job.isActive())) {
    await documents.writeOnce(failureDocument(id, cancelledReason, { data: job.data }));
    if ((await queue.remove(id)) === 1) return 'cancelled';
    await documents.dropFailure(id); // A worker took it meanwhile.
  }
  await redis.set(keys.cancel(id), '1', 'EX', retentionSeconds);
  await redis.publish(keys.cancelChannel, id);
  return 'requested';
}
