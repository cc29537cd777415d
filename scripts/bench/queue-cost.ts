import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Stage } from '../stage.js';
import { median } from './table.js';

const instantWorker = fileURLToPath(new URL('./instant-worker.js', import.meta.url));
/** Jobs that nobody counts: the model process is started by the first. */
const warmJobs = 20;

export interface QueueCost {
  readonly jobs: number;
  /** From enqueueing a job to having its document, one job at a time. */
  readonly medianMs: number;
  /** With several jobs under way: what one more costs. */
  readonly jobsPerSecond: number;
  readonly msAJob: number;
}

export interface SpeedUp {
  readonly workers: number;
  readonly jobsPerSecond: number;
  /** Times the jobs a second of one worker. */
  readonly speedUp: number;
}

/** What a job costs on its way where nothing is computed for it, through one worker. */
export async function measureQueueCost(stage: Stage, jobs: number): Promise<QueueCost> {
  const ask = asker(stage, 0);
  await stage.startWorkers(1, instantWorker);
  for (let i = 0; i < warmJobs; i++) await ask();
  const times: number[] = [];
  for (let i = 0; i < jobs; i++) {
    const started = performance.now();
    await ask();
    times.push(performance.now() - started);
  }
  const seconds = await secondsOf(ask, jobs, 8);
  await stage.stopWorkers();
  return {
    jobs,
    medianMs: median(times),
    jobsPerSecond: jobs / seconds,
    msAJob: (seconds * 1000) / jobs,
  };
}

/** Jobs a second of so many workers where each job is a wait of so many milliseconds. */
export async function measureSpeedUp(
  stage: Stage,
  counts: readonly number[],
  { jobsAWorker, waitMs }: { readonly jobsAWorker: number; readonly waitMs: number },
): Promise<SpeedUp[]> {
  const ask = asker(stage, waitMs);
  const rates: { readonly workers: number; readonly jobsPerSecond: number }[] = [];
  for (const workers of counts) {
    await stage.startWorkers(workers, instantWorker);
    await secondsOf(ask, 4 * workers, 4 * workers); // Each worker starts its model process.
    const jobs = jobsAWorker * workers;
    const seconds = await secondsOf(ask, jobs, 2 * workers);
    rates.push({ workers, jobsPerSecond: jobs / seconds });
    await stage.stopWorkers();
  }
  return rates.map((rate) => ({ ...rate, speedUp: rate.jobsPerSecond / rates[0]!.jobsPerSecond }));
}

/** Asks a question that nobody asked before. */
function asker(stage: Stage, waitMs: number): () => Promise<void> {
  const video = join(stage.videos, `wait-${waitMs}.json`);
  writeFileSync(video, JSON.stringify({ waitMs }));
  let asked = 0;
  return async () => {
    const id = await stage.client.ask({ video, questions: [`Is this question ${asked++}?`] });
    const { status } = await stage.client.wait(id);
    if (status !== 'completed') throw new Error(`a job that computes nothing ended as ${status}`);
  };
}

/** How long so many jobs take with so many under way at once. */
async function secondsOf(ask: () => Promise<void>, jobs: number, inFlight: number): Promise<number> {
  const started = performance.now();
  let left = jobs;
  const lane = async () => {
    while (left-- > 0) await ask();
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  return (performance.now() - started) / 1000;
}
