import type { QueueStatus } from '../../../queues/client.js';
import { queueKey } from '../index/record.js';
import { type ApiContext, talk } from './context.js';
import type { JobRow, Overview } from './schemas.js';

type Parts = Pick<ApiContext, 'settings' | 'redis' | 'address' | 'client' | 'index'>;

/** How long an overview is good for whoever asks next, in milliseconds. */
const freshMs = 300;
/** One of many jobs takes long to make, and nothing else is done meanwhile: it is good for so many times as long. */
const freshTimes = 10;

interface Made {
  until: number;
  readonly overview: Promise<Overview>;
}

/** The overview, made once for all who ask at the same time. */
export class Overviews {
  readonly #parts: Parts;
  readonly #made = new Map<number, Made>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** @throws RedisUnavailableError */
  of(hours: number): Promise<Overview> {
    const now = Date.now();
    const made = this.#made.get(hours);
    if (made && now < made.until) return made.overview;
    for (const [hours, { until }] of this.#made) if (now >= until) this.#made.delete(hours);
    const took = (ms: number) => {
      next.until = Math.max(next.until, Date.now() + freshTimes * ms);
    };
    const next: Made = { until: now + freshMs, overview: overviewOf(this.#parts, hours, took) };
    this.#made.set(hours, next);
    return next.overview;
  }
}

/** @param took is told how long the figures took, in milliseconds */
async function overviewOf(parts: Parts, hours: number, took: (ms: number) => void): Promise<Overview> {
  const { settings, client, index } = parts;
  const metaKey = queueKey(settings.prefix, settings.queue, 'meta');
  const [status, paused] = await Promise.all([
    client.status(),
    talk(parts, (redis) => redis.hexists(metaKey, 'paused')),
  ]);
  const now = Date.now();
  const began = performance.now();
  const figures = index.figures(hours, now);
  took(performance.now() - began);
  const counts = countsOf(status, index.cancelled());
  const { version, usedMemoryBytes, maxMemoryBytes, maxMemoryPolicy } = status.redis;
  return {
    at: now,
    queue: {
      ...{ name: status.queue, prefix: status.prefix, address: status.address },
      isPaused: paused === 1,
    },
    counts,
    ...figures,
    secondsOfWork: secondsOfWork(counts, figures.jobsPerMinute, status.workers),
    workers: workersOf(status.workers, index.active()),
    redis: { version, usedMemoryBytes, maxMemoryBytes, maxMemoryPolicy },
    index: index.progress,
  };
}

/** BullMQ counts cancelled jobs among the failed, and forgets those that were cancelled before they began. */
function countsOf(
  { counts }: QueueStatus,
  cancelled: { readonly listed: number; readonly detached: number },
): Overview['counts'] {
  const of = (...states: string[]) => states.reduce((sum, state) => sum + (counts[state] ?? 0), 0);
  return {
    waiting: of('waiting', 'wait', 'prioritized', 'paused', 'waiting-children'),
    delayed: of('delayed'),
    active: of('active'),
    completed: of('completed'),
    failed: Math.max(0, of('failed') - cancelled.listed),
    cancelled: cancelled.listed + cancelled.detached,
  };
}

function secondsOfWork(
  { waiting, delayed, active }: Overview['counts'],
  jobsPerMinute: number,
  workers: QueueStatus['workers'],
): number | null {
  const jobs = waiting + delayed + active;
  if (jobs === 0) return 0;
  if (!workers || workers.length === 0 || jobsPerMinute === 0) return null;
  return (60 * jobs) / jobsPerMinute;
}

function workersOf(workers: QueueStatus['workers'], active: readonly JobRow[]): Overview['workers'] {
  if (workers === null) return null;
  return workers.map(({ name, address, ageSeconds, about }) => ({
    ...{ name, address, ageSeconds },
    version: about?.version ?? null,
    sandbox: about?.sandbox ?? null,
    concurrency: about ? about.concurrency : null,
    jobs: active.filter(({ worker }) => worker === name),
  }));
}
