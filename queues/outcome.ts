import type { Queue } from 'bullmq';
import { type Documents, failureDocument } from './documents.js';
import { UnknownJobError } from './errors.js';
import type { AskJob, ResultDocument } from './schemas.js';

/** What has come of a job: its document, null while it waits or runs, and BullMQ's state of it. One round trip: it is looked up often. */
export async function findOutcome(
  queue: Queue<AskJob>,
  documents: Documents,
  id: string,
): Promise<{ readonly document: ResultDocument | null; readonly state: string }> {
  const [document, state] = await Promise.all([documents.read(id), queue.getJobState(id)]);
  if (document || state !== 'failed') return { document, state };
  return { document: await documentOfFailure(queue, documents, id), state };
}

/**
 * The document of a job; null while it waits or runs.
 *
 * @throws UnknownJobError
 */
export async function lookForOutcome(
  queue: Queue<AskJob>,
  documents: Documents,
  id: string,
): Promise<ResultDocument | null> {
  const { document, state } = await findOutcome(queue, documents, id);
  if (document || state !== 'unknown') return document;
  // It may have moved while both were read.
  if ((await queue.getJob(id)) || (await documents.read(id))) return null;
  throw new UnknownJobError(`no job has the id ${JSON.stringify(id)}`);
}

/**
 * What stands for a job that failed for good but whose worker wrote no document: it was killed at that
 * moment, or BullMQ itself gave the job up.
 */
async function documentOfFailure(
  queue: Queue<AskJob>,
  documents: Documents,
  id: string,
): Promise<ResultDocument | null> {
  const job = await queue.getJob(id); // Read after the state: before, it may have no reason yet.
  if (!job) return null;
  return documents.writeOnce(
    failureDocument(id, job.failedReason ?? '', {
      finishedOn: job.finishedOn,
      attempts: job.attemptsStarted,
      worker: job.processedBy,
      data: job.data,
    }),
  );
}
