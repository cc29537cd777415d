import { setTimeout as pause } from 'node:timers/promises';
import pRetry from 'p-retry';
import { type QueueClient, RedisUnavailableError, type ResultDocument } from '../../queues/index.js';
import type { ChaosJob } from './jobs.js';
import type { Journal } from './journal.js';

const pollMs = 20;
/** A job without a document after this time is lost, in milliseconds. */
const lostMs = 300_000;

export interface Ended {
  readonly job: ChaosJob;
  /** The first document that was seen; null where none came. */
  readonly document: ResultDocument | null;
}

interface Production {
  /** Jobs in the queue at a time. */
  readonly inFlight: number;
  /** Whether a job of this place in the list is still to wait, when so many are under way. */
  readonly isEarly: (index: number, underWay: number) => boolean;
  readonly onEnd: (ended: Ended) => void;
  readonly signal: AbortSignal;
}

/** Asks the jobs as a producer does that goes on when Redis is back, and waits for their documents. */
export async function produce(
  client: QueueClient,
  journal: Journal,
  jobs: readonly ChaosJob[],
  { inFlight, isEarly, onEnd, signal }: Production,
): Promise<void> {
  const left = jobs.entries();
  let underWay = 0;
  const produceSome = async () => {
    for (const [index, job] of left) {
      while (isEarly(index, underWay)) await pause(pollMs, null, { signal });
      underWay++;
      const document = await documentOf(client, journal, job, signal);
      underWay--;
      onEnd({ job, document });
    }
  };
  await Promise.all(Array.from({ length: inFlight }, produceSome));
}

async function documentOf(client: QueueClient, journal: Journal, job: ChaosJob, signal: AbortSignal) {
  const lost = AbortSignal.timeout(lostMs);
  const talk = <T>(say: () => Promise<T>) => patiently(say, AbortSignal.any([signal, lost]));
  try {
    await talk(() => client.ask(job.input, { id: job.id }));
    if (job.cancel === 'running') await journal.untilBack(job.id, 0, AbortSignal.any([signal, lost]));
    if (job.cancel) await talk(() => client.cancel(job.id));
    return await talk(() => client.wait(job.id, { signal: AbortSignal.any([signal, lost]) }));
  } catch (error) {
    if (lost.aborted && !signal.aborted) return null;
    throw error;
  }
}

/** Again and again while Redis is away. */
export function patiently<T>(say: () => Promise<T>, signal: AbortSignal): Promise<T> {
  return pRetry(say, {
    retries: Number.POSITIVE_INFINITY,
    minTimeout: 50,
    maxTimeout: 500,
    signal,
    shouldRetry: ({ error }) => error instanceof RedisUnavailableError,
  });
}
