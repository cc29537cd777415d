import type { z } from 'zod';
import type { CancelOutcome } from '../../../queues/client.js';
import { JobConflictError, JobRefusedError } from '../../../queues/errors.js';
import type { ApiContext } from './context.js';
import { findJob, readJob } from './detail.js';
import { noJob, Problem } from './problems.js';
import type { bulkOutcomeSchema, bulkSchema, JobState } from './schemas.js';

/** Jobs of a bulk that are worked on at the same time. */
const atOnce = 16;

/** In which states a job can be cancelled, or asked again. */
const fitting: Readonly<Record<'cancel' | 'retry', ReadonlySet<JobState>>> = {
  cancel: new Set(['waiting', 'delayed', 'active']),
  retry: new Set(['failed', 'cancelled']),
};

/**
 * Stops a job. What it asked is remembered: the queue forgets a job that is cancelled before it begins.
 *
 * @throws Problem for an unknown job; RedisUnavailableError
 */
export async function cancelJob(context: ApiContext, id: string): Promise<CancelOutcome> {
  const { record } = await findJob(context, id);
  const outcome = await context.client.cancel(id);
  if (outcome === 'unknown') throw noJob(id);
  if (outcome === 'cancelled' && record?.data) context.index.forgotten.keep(id, record.data);
  return outcome;
}

/**
 * Asks a job again that failed or was cancelled, under its id.
 *
 * @throws Problem for a job that did not end so, or of which nothing is left; RedisUnavailableError
 */
export async function retryJob(context: ApiContext, id: string): Promise<void> {
  const { row, record } = await findJob(context, id);
  if (!fitting.retry.has(row.state)) {
    throw new Problem(
      409,
      `expected a job that failed or was cancelled, ${JSON.stringify(id)} is ${row.state}`,
    );
  }
  const data = record?.data ?? context.index.forgotten.get(id);
  if (data === null) {
    throw new Problem(
      409,
      `nothing is left of what ${JSON.stringify(id)} asked: it was cancelled before it began; ask it anew`,
    );
  }
  const job = readJob(data);
  if (!job) throw new Problem(409, `the job ${JSON.stringify(id)} is none that this version could ask`);
  await context.client.ask(job, { id });
}

/** Does the same to all jobs that meet a filter and are in a fitting state, the oldest first. @throws RedisUnavailableError */
export async function actOnMany(
  context: ApiContext,
  { action, filter, limit }: z.output<typeof bulkSchema>,
): Promise<z.output<typeof bulkOutcomeSchema>> {
  const all = context.index.idsOf(filter);
  const ids = all.filter((id) => fitting[action].has(context.index.get(id)!.state)).slice(0, limit);
  const act = action === 'cancel' ? cancelOne : retryOne;
  let done = 0;
  let next = 0;
  const work = async () => {
    while (next < ids.length) if (await act(context, ids[next++]!)) done += 1;
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return { matched: all.length, done, skipped: all.length - done };
}

async function cancelOne(context: ApiContext, id: string): Promise<boolean> {
  const outcome = await unlessItMoved(cancelJob(context, id));
  return outcome === 'cancelled' || outcome === 'requested';
}

async function retryOne(context: ApiContext, id: string): Promise<boolean> {
  return (await unlessItMoved(retryJob(context, id).then(() => true))) ?? false;
}

/** Null where a job of many is not any more what it was, or cannot be asked. */
async function unlessItMoved<T>(work: Promise<T>): Promise<T | null> {
  try {
    return await work;
  } catch (error) {
    const kinds = [Problem, JobConflictError, JobRefusedError];
    if (kinds.some((kind) => error instanceof kind)) return null;
    throw error;
  }
}
