import type { Cluster } from 'ioredis';
import type { RedisClient } from '../../../queues/connection.js';
import { keysOf } from '../../../queues/options.js';
import type { JobState } from '../api/schemas.js';
import { queueKey } from './record.js';

/** How many ids one command reads: the server does nothing else meanwhile. */
const pageSize = 5_000;

/** BullMQ's lists (newest first) and sorted sets of jobs, and what a job in each is. */
const live: readonly { readonly name: string; readonly kind: 'list' | 'set'; readonly state: JobState }[] = [
  { name: 'active', kind: 'list', state: 'active' },
  { name: 'wait', kind: 'list', state: 'waiting' },
  { name: 'paused', kind: 'list', state: 'waiting' },
  { name: 'prioritized', kind: 'set', state: 'waiting' },
  { name: 'delayed', kind: 'set', state: 'delayed' },
];
const ended: readonly { readonly name: string; readonly state: JobState }[] = [
  { name: 'completed', state: 'completed' },
  { name: 'failed', state: 'failed' },
];

/** The ids of a queue's jobs with the states of their sets, in the order in which they are to be read. */
interface QueueIds {
  readonly states: ReadonlyMap<string, JobState>;
  /** How many jobs there are, those above the limit too. */
  readonly total: number;
}

/**
 * Reads which jobs there are, at most `limit` of them: those under way, then by turns some that wait and some that ended, of
 * either the newest first.
 */
export async function readIds(
  redis: RedisClient,
  prefix: string,
  queue: string,
  limit: number,
): Promise<QueueIds> {
  const key = (name: string) => queueKey(prefix, queue, name);
  const states = new Map<string, JobState>();
  const [running, ...waiting] = live.map(({ name, kind, state }) => ({
    state,
    ids: readPages(redis, key(name), kind, limit),
  }));
  const finished = ended.map(({ name, state }) => ({ state, scored: readScored(redis, key(name), limit) }));
  // All at once: what fails after the first that fails would else be nobody's.
  await Promise.all([
    running!.ids,
    ...waiting.map(({ ids }) => ids),
    ...finished.map(({ scored }) => scored),
  ]);
  const first = await running!.ids;
  for (const id of first) states.set(id, 'active');
  const waits: [string, JobState][] = [];
  for (const { state, ids } of waiting) for (const id of await ids) waits.push([id, state]);
  const ends: [string, JobState, number][] = [];
  for (const { state, scored } of finished) for (const [id, at] of await scored) ends.push([id, state, at]);
  ends.sort((a, b) => b[2] - a[2]);
  for (let i = 0; i < Math.max(waits.length, ends.length) && states.size < limit; i += 1) {
    const [wait, end] = [waits[i], ends[i]];
    if (wait) states.set(wait[0], wait[1]);
    if (end) states.set(end[0], end[1]);
  }
  return { states, total: await countAll(redis, key) };
}

/**
 * The ids of the jobs that have a document and no record any more, page by page. It goes through the names of all keys of the server,
 * a thousand a command; of those that are known already nothing else is asked.
 */
export async function* readDetachedIds(
  redis: RedisClient,
  prefix: string,
  queue: string,
  isKnown: (id: string) => boolean,
): AsyncGenerator<string[]> {
  const start = keysOf(prefix, queue).result('');
  for (const node of redis.isCluster ? (redis as Cluster).nodes('master') : [redis]) {
    let cursor = '0';
    do {
      const [next, names] = await node.scan(cursor, 'MATCH', `${start}*`, 'COUNT', 1_000);
      const ids = names.map((name) => name.slice(start.length)).filter((id) => !isKnown(id));
      const records = await Promise.all(ids.map((id) => redis.exists(queueKey(prefix, queue, id))));
      yield ids.filter((_, i) => records[i] === 0);
      cursor = next;
    } while (cursor !== '0');
  }
}

async function countAll(redis: RedisClient, key: (name: string) => string): Promise<number> {
  const sets = ['prioritized', 'delayed', ...ended.map(({ name }) => name)];
  const counts = await Promise.all([
    ...['active', 'wait', 'paused'].map((name) => redis.llen(key(name))),
    ...sets.map((name) => redis.zcard(key(name))),
  ]);
  return counts.reduce((sum, count) => sum + count, 0);
}

async function readPages(
  redis: RedisClient,
  key: string,
  kind: 'list' | 'set',
  limit: number,
): Promise<string[]> {
  const ids: string[] = [];
  for (let first = 0; first < limit; first += pageSize) {
    const last = first + pageSize - 1;
    const page =
      kind === 'list'
        ? await redis.lrange(key, first, last)
        : await redis.zrange(key, String(first), String(last));
    ids.push(...page);
    if (page.length < pageSize) break;
  }
  // BullMQ puts a mark of its own into the list of a queue that is paused or limited.
  return ids.filter((id) => !id.startsWith('0:'));
}

async function readScored(redis: RedisClient, key: string, limit: number): Promise<[string, number][]> {
  const scored: [string, number][] = [];
  for (let first = 0; first < limit; first += pageSize) {
    const page = await redis.zrevrange(key, first, first + pageSize - 1, 'WITHSCORES');
    for (let i = 0; i < page.length; i += 2) scored.push([page[i]!, Number(page[i + 1])]);
    if (page.length < 2 * pageSize) break;
  }
  return scored;
}
