import type { Queue } from 'bullmq';
import type { RedisClient } from './connection.js';
import { type RedisHealth, readHealth } from './health.js';
import type { Keys } from './options.js';
import { type ListeningWorker, listWorkers } from './workers.js';

export interface QueueStatus {
  readonly address: string;
  readonly prefix: string;
  readonly queue: string;
  /** Jobs by state: `waiting`, `active`, `delayed`, `completed`, `failed`, and BullMQ's other states. */
  readonly counts: Readonly<Record<string, number>>;
  /** Those that listen; null where the server does not say. */
  readonly workers: readonly ListeningWorker[] | null;
  readonly redis: RedisHealth;
}

export interface StatusParts {
  readonly queue: Queue;
  readonly redis: RedisClient;
  readonly keys: Keys;
  readonly prefix: string;
}

export async function readStatus({
  queue,
  redis,
  keys,
  prefix,
}: StatusParts): Promise<Omit<QueueStatus, 'address'>> {
  const [counts, workers, health] = await Promise.all([
    countJobs(queue, redis),
    listWorkers(queue, redis, keys),
    readHealth(redis, prefix),
  ]);
  return { prefix, queue: queue.name, counts, workers, redis: health };
}

const lists = { active: 'active', waiting: 'wait' };
const sortedSets = ['completed', 'delayed', 'failed', 'prioritized', 'waiting-children'];

/** As BullMQ's `getJobCounts`, which runs a script that may write: a client that may only read is refused it. */
async function countJobs(queue: Queue, redis: RedisClient): Promise<Record<string, number>> {
  const counts = [
    ...Object.entries(lists).map(([state, list]) => [state, redis.llen(queue.toKey(list))] as const),
    ...sortedSets.map((state) => [state, redis.zcard(queue.toKey(state))] as const),
  ];
  return Object.fromEntries(
    await Promise.all(counts.map(async ([state, count]) => [state, await count] as const)),
  );
}
