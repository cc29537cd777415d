import { mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { patientClient, type RedisConnection } from '../../queues/connection.js';
import { QueueClient } from '../../queues/index.js';
import { socketOf, startPrivateRedis, stopPrivateRedis } from '../../src/workers/private-redis.js';
import { createRandom, type Random } from '../clips/index.js';
import { checkDocuments, checkFiles, checkKeys, checkProcesses, checkQueue, type Folders } from './check.js';
import { Crew } from './crew.js';
import { Disturber, type Victim } from './disturb.js';
import { type ChaosJob, makeJobs } from './jobs.js';
import { Journal } from './journal.js';
import { attempts, backoffMs, type ChaosOptions, prefix, queue } from './options.js';
import { ProcessRecord } from './processes.js';
import { type Ended, produce } from './produce.js';
import { type ChaosReport, reportOf } from './report.js';

export interface Listeners {
  readonly signal: AbortSignal;
  readonly say: (text: string) => void;
}

/** One disturbance: once this many jobs have ended, and this much later. */
interface Disturbance {
  readonly what: Victim | 'freeze';
  readonly afterJobs: number;
  readonly pauseMs: number;
}

/** Longest time between a job's end and the disturbance that waited for it, in milliseconds. */
const pauseMs = 500;
/** Jobs in the queue at a time. A job whose attempt failed waits behind all others: with many, recovery would be their time. */
const jobsAWorker = 3;
/** How much is said on the way. */
const sayTimes = 20;

/** Runs everything in a folder of its own, which is removed, however it ends. */
export async function runChaos(options: ChaosOptions, listeners: Listeners): Promise<ChaosReport> {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'visionzip-chaos-')));
  try {
    const folders = { home: join(root, 'h'), videos: join(root, 'videos'), temporary: join(root, 'tmp') };
    for (const folder of Object.values(folders)) mkdirSync(folder);
    const { say, signal } = listeners;
    say('making clips, and their answers undisturbed');
    const jobs = await makeJobs(options, folders.videos, signal);
    say('answering them again, disturbed');
    return await runJobs(options, jobs, folders, listeners);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

async function runJobs(
  options: ChaosOptions,
  jobs: readonly ChaosJob[],
  folders: Folders,
  listeners: Listeners,
): Promise<ChaosReport> {
  const { home, videos, temporary } = folders;
  const clips = readdirSync(videos);
  const record = new ProcessRecord();
  const crew = new Crew(home, videos, temporary);
  let report: ChaosReport;
  try {
    await startPrivateRedis(home);
    for (let i = 0; i < options.workers; i++) crew.start();
    report = await disturbJobs(options, jobs, { home, crew, record }, listeners);
    for (const pid of crew.pids) await record.look(pid);
  } finally {
    await crew.stop();
    await stopPrivateRedis(home);
  }
  const faults = [
    ...crew.faults,
    ...(await checkProcesses(record, dirname(home))),
    ...checkFiles(folders, clips),
  ];
  return { ...report, violations: [...report.violations, ...faults] };
}

async function disturbJobs(
  options: ChaosOptions,
  jobs: readonly ChaosJob[],
  stage: { readonly home: string; readonly crew: Crew; readonly record: ProcessRecord },
  { signal, say }: Listeners,
): Promise<ChaosReport> {
  const connection = { path: socketOf(stage.home) };
  const client = new QueueClient({ connection, prefix, queue, attempts, backoffMs });
  const journal = new Journal(connection);
  const random = createRandom(`chaos/kills/${options.seed}`);
  const ended: Ended[] = [];
  const isOver = () => ended.length === jobs.length;
  const hasEnded = (id: string) => ended.some(({ job }) => job.id === id);
  const disturber = new Disturber({ ...stage, random, isOver, hasEnded, signal }, connection);
  const tellEvery = Math.ceil(jobs.length / sayTimes);
  const onEnd = (end: Ended) => {
    ended.push(end);
    if (ended.length % tellEvery === 0) say(`${ended.length} of ${jobs.length} jobs, ${told(disturber)}`);
  };
  try {
    const started = performance.now();
    const inFlight = jobsAWorker * options.workers;
    const disturbances = plan(options, inFlight, random);
    let done = 0;
    // On a fast machine the jobs would be over before all was killed: they wait, but for one that a kill needs.
    const isEarly = (index: number, underWay: number) =>
      (disturbances[done]?.afterJobs ?? index) < index - inFlight && !(disturber.isHunting && underWay === 0);
    const endedJobs = () => ended.length;
    await together(signal, (signal) => [
      produce(client, journal, jobs, { inFlight, isEarly, onEnd, signal }),
      disturb(disturber, disturbances, { endedJobs, onDone: () => done++, signal }),
    ]);
    const seconds = (performance.now() - started) / 1_000;
    say('checking documents, the queue and its keys');
    const { worker, model, redis } = disturber.kills;
    const killed = worker + model + redis;
    const missed = `only ${killed} of ${options.kills} kills found a job in hand: ask more jobs`;
    const violations = [
      ...(killed < options.kills ? [missed] : []),
      ...(await checkDocuments(client, ended, signal)),
      ...(await settled(() => checkQueue(client, ended))),
      ...(await checkRedis(connection, jobs)),
    ];
    return reportOf(options, { ended, disturber, journal, seconds, violations });
  } finally {
    await Promise.all([disturber.close(), journal.close(), client.close()]);
  }
}

/** Where one part fails, the others are stopped, and nothing is under way any more once this is rejected. */
async function together(signal: AbortSignal, start: (signal: AbortSignal) => Promise<void>[]): Promise<void> {
  const failure = new AbortController();
  const parts = start(AbortSignal.any([signal, failure.signal]));
  try {
    await Promise.all(parts);
  } catch (error) {
    failure.abort(error);
    await Promise.allSettled(parts);
    throw error;
  }
}

/** Kills at random times, and one freeze among them. Each has a job left that it may need. */
function plan({ jobs, kills }: ChaosOptions, inFlight: number, random: Random): Disturbance[] {
  const victims = Array.from(
    { length: kills },
    (_, i) => (['worker', 'model', 'worker', 'redis'] as const)[i % 4]!,
  );
  const all = random.shuffle<Disturbance['what']>([...victims, 'freeze']);
  const times = all.map(() => random.index(Math.max(1, jobs - inFlight - all.length))).sort((a, b) => a - b);
  return all.map((what, i) => ({ what, afterJobs: times[i]!, pauseMs: random.between(0, pauseMs) }));
}

async function disturb(
  disturber: Disturber,
  disturbances: readonly Disturbance[],
  listeners: {
    readonly endedJobs: () => number;
    readonly onDone: () => void;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { endedJobs, onDone, signal } = listeners;
  for (const { what, afterJobs, pauseMs } of disturbances) {
    while (endedJobs() < afterJobs) await pause(20, null, { signal });
    await pause(pauseMs, null, { signal });
    if (what === 'freeze') await disturber.freeze();
    else await disturber.kill(what);
    onDone();
  }
}

/** The queue's records follow its documents: what is still wrong after some seconds is wrong. */
async function settled(check: () => Promise<string[]>): Promise<string[]> {
  const end = Date.now() + 10_000;
  for (;;) {
    const faults = await check();
    if (faults.length === 0 || Date.now() > end) return faults;
    await pause(100);
  }
}

async function checkRedis(connection: RedisConnection, jobs: readonly ChaosJob[]): Promise<string[]> {
  const redis = patientClient(connection) as Redis;
  try {
    return await checkKeys(redis, new Set(jobs.map(({ id }) => id)));
  } finally {
    redis.disconnect();
  }
}

function told({ kills, freezes }: Disturber): string {
  return `killed: ${kills.worker} workers, ${kills.model} model processes, ${kills.redis} Redis; frozen: ${freezes}`;
}
