import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { QueueClient, ResultDocument } from '../../queues/index.js';
import { keysOf } from '../../queues/options.js';
import type { ChaosJob } from './jobs.js';
import { prefix, queue } from './options.js';
import type { ProcessRecord } from './processes.js';
import { type Ended, patiently } from './produce.js';

/** How long processes that were told to end may take, in milliseconds. */
const endMs = 5_000;
const pollMs = 50;

/** What BullMQ keeps of a queue without expiry, besides the records of finished jobs: those it prunes by their age. */
const keptByDesign = new Set(['meta', 'id', 'events', 'completed', 'failed', 'marker']);

/** Every job has ended in one document, which is the right one. */
export async function checkDocuments(
  client: QueueClient,
  ended: readonly Ended[],
  signal: AbortSignal,
): Promise<string[]> {
  const faults: string[] = [];
  for (const { job, document } of ended) {
    const last = await patiently(() => client.result(job.id), signal);
    if (!document || !last) faults.push(`${job.id} has no document`);
    else if (JSON.stringify(last) !== JSON.stringify(document)) {
      faults.push(
        `${job.id} had the document of ${document.finishedAt}, and then that of ${last.finishedAt}`,
      );
    } else faults.push(...checkDocument(job, last));
  }
  return faults;
}

function checkDocument(job: ChaosJob, document: ResultDocument): string[] {
  const { id, answer, cancel } = job;
  if (document.status !== 'completed') {
    if (document.status === 'cancelled')
      return cancel ? [] : [`${id} says cancelled, and nobody cancelled it`];
    return answer === null ? [] : [`${id} failed: ${document.error}`];
  }
  const said = document.answers[0]?.answer;
  if (document.answers.length !== 1 || said !== answer)
    return [
      `${id} was answered "${said}", undisturbed it is ${answer === null ? 'at fault' : `"${answer}"`}`,
    ];
  return [];
}

/** BullMQ's own states: nothing is under way, and its records say what the documents say. */
export async function checkQueue(client: QueueClient, ended: readonly Ended[]): Promise<string[]> {
  const { counts } = await client.status();
  const { completed = 0, failed = 0, ...underWay } = counts;
  const faults = Object.entries(underWay)
    .filter(([, count]) => count > 0)
    .map(([state, count]) => `${count} jobs are still ${state}`);
  const documents = ended.filter(({ document }) => document?.status === 'completed').length;
  if (completed !== documents)
    faults.push(`BullMQ has ${completed} completed jobs, ${documents} documents say so`);
  if (completed + failed > ended.length)
    faults.push(`BullMQ has ${completed + failed} records of ${ended.length} jobs`);
  return faults;
}

/** Keys that would stay for ever, and documents that belong to no job. */
export async function checkKeys(redis: Redis, ids: ReadonlySet<string>): Promise<string[]> {
  const faults: string[] = [];
  const own = `${prefix}:${queue}:`;
  const results = keysOf(prefix, queue).result('');
  const recorded = new Set([
    ...(await redis.zrange(`${own}completed`, '0', '-1')),
    ...(await redis.zrange(`${own}failed`, '0', '-1')),
  ]);
  for (const key of await allKeys(redis)) {
    const name = key.startsWith(own) ? key.slice(own.length) : null;
    if (key.startsWith(results) && !ids.has(key.slice(results.length)))
      faults.push(`the document ${key} belongs to no job`);
    // The log of a job goes with its record.
    const job = name?.replace(/:logs$/, '');
    if (job !== undefined && (keptByDesign.has(job) || recorded.has(job))) continue;
    if ((await redis.ttl(key)) === -1) faults.push(`the key ${key} has no expiry`);
  }
  return faults;
}

async function allKeys(redis: Redis): Promise<string[]> {
  const keys = new Set<string>();
  for await (const some of redis.scanStream({ count: 1_000 }))
    for (const key of some as string[]) keys.add(key);
  return [...keys];
}

/** Nothing that was started runs on, once everything was stopped. */
export async function checkProcesses(record: ProcessRecord, folder: string): Promise<string[]> {
  const end = Date.now() + endMs;
  for (;;) {
    const left = await record.left(folder);
    if (left.length === 0) return [];
    if (Date.now() > end) return left.map(({ pid, command }) => `process ${pid} still runs: ${command}`);
    await pause(pollMs);
  }
}

/** Files that nobody will remove: in the temporary folder, beside the videos, and beside the server's data. */
export function checkFiles({ home, videos, temporary }: Folders, clips: readonly string[]): string[] {
  const expected = [
    { folder: temporary, names: [] },
    { folder: videos, names: clips },
    { folder: home, names: ['redis', 'changes', 'tokens'] },
    { folder: join(home, 'redis'), names: ['appendonlydir', 'log'] },
  ];
  return expected.flatMap(({ folder, names }) =>
    readdirSync(folder)
      .filter((name) => !names.includes(name))
      .map((name) => `the file ${join(folder, name)} was left behind`),
  );
}

export interface Folders {
  /** Of the private Redis server. */
  readonly home: string;
  readonly videos: string;
  /** The workers' folder for temporary files. */
  readonly temporary: string;
}
