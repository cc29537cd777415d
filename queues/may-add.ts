import { isDeepStrictEqual } from 'node:util';
import type { CancelParts } from './cancel.js';
import { JobConflictError } from './errors.js';
import { findOutcome } from './outcome.js';
import type { AskJob } from './schemas.js';

/**
 * Whether a job of its caller's own id is to be added: not where it is there, but again where it failed or was cancelled; then what is left
 * of that is removed.
 *
 * @throws JobConflictError for an id that stands for another job.
 */
export async function mayAdd(
  { queue, redis, keys, documents }: Omit<CancelParts, 'retentionSeconds'>,
  id: string,
  data: AskJob,
): Promise<boolean> {
  const { document } = await findOutcome(queue, documents, id);
  const job = await queue.getJob(id);
  const again = document !== null && document.status !== 'completed';
  if (job && !again && !isDeepStrictEqual(job.data, data)) {
    throw new JobConflictError(`the id ${JSON.stringify(id)} stands for another job; use another id`);
  }
  if (document && !again) return false;
  if (again && !(await documents.dropFailure(id))) return false; // Another caller asked it again.
  if (again) await redis.del(keys.cancel(id));
  if (again && job) await queue.remove(id);
  return true;
}
