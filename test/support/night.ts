import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { afterAll, beforeAll, expect } from 'vitest';
import type { JobList } from '../../src/dashboard/api/schemas.js';
import { type Dashboard, type DashboardOptions, startDashboard } from '../../src/dashboard/server.js';
import type { DashboardSettings } from '../../src/settings.js';
import { startWorker } from '../../src/workers/worker.js';
import { ffmpeg, h264, testPattern } from '../media.js';
import { cli } from './cli.js';
import type { TestRedis } from './redis.js';
import { until } from './script.js';
import { Bench, longLock } from './worker.js';

const models = fileURLToPath(new URL('../../models', import.meta.url));
const open: DashboardSettings = { credential: null, base: null, publicUrl: null, isReadOnly: false };

/** What a night's run has left behind: jobs of every kind, done by the shipped model. */
export interface Night {
  bench: Bench;
  /** Of the dashboard that shows it, with a slash at its end. */
  url: string;
  /** Ids. `seen` has two questions, one with options, and 8 frames; `again` asks the same without compression. */
  jobs: Record<'seen' | 'again' | 'still' | 'broken' | 'missing' | 'cancelled', string>;
  dataset: string;
  /** How many jobs failed since their video is not there; how many jobs there are. */
  missing: number;
  count: number;
}

/** Starts the dashboard of a bench on a free port. */
export function showBench(
  bench: Bench,
  redis: TestRedis,
  access: Partial<DashboardSettings> = {},
  options: DashboardOptions = {},
): Promise<Dashboard> {
  const settings = { ...bench.settings, logLevel: 'silent', dashboard: { ...open, ...access } };
  return startDashboard({ settings, connection: redis.connection, port: 0, ...options });
}

/** Made once for the tests of a file, which only read. */
export function useNight(redis: TestRedis): Night {
  const night = { missing: 55, count: 63, dataset: 'night' } as Night;
  const closes: (() => Promise<void>)[] = [];
  beforeAll(async () => {
    night.bench = new Bench(redis.home, redis.connection, {
      ...longLock,
      modelDirs: [models],
      tokenStore: { dir: join(redis.home, 'tokens'), limitBytes: 2 ** 28 },
      lockMs: 30_000,
    });
    const dashboard = await showBench(night.bench, redis);
    night.url = dashboard.url;
    closes.push(
      () => dashboard.close(),
      () => night.bench.close(),
    );
    await makeVideos(night.bench.dir);
    night.jobs = await askAll(night);
    const worker = await startWorker(night.bench.settings, pino({ level: 'silent' }));
    closes.unshift(() => worker.close());
    await answerDataset(night, redis.home);
    await until(
      async () => (await jobsOf(night.url, 'state=completed&state=failed&state=cancelled')) === night.count,
    );
  }, 120_000);
  afterAll(async () => {
    for (const close of closes) await close();
  });
  return night;
}

async function jobsOf(url: string, query: string): Promise<number> {
  return ((await (await fetch(`${url}api/jobs?${query}`)).json()) as JobList).total;
}

async function makeVideos(folder: string): Promise<void> {
  await ffmpeg(...testPattern(320, 240, 20, 5), ...h264(), join(folder, 'moving.mp4'));
  const half = (colour: string) => ['-f', 'lavfi', '-i', `color=${colour}:size=192x192:rate=10:duration=1`];
  const joined = ['-filter_complex', 'concat=n=2', ...h264()];
  await ffmpeg(...half('red'), ...half('blue'), ...joined, join(folder, 'still.mp4'));
  writeFileSync(join(folder, 'broken.mp4'), 'no video');
}

async function askAll({ bench: { client, dir }, missing, url }: Night): Promise<Night['jobs']> {
  const video = (name: string) => join(dir, name);
  const sampling = { frames: 8, method: 'uniform' } as const;
  const generation = { maxNewTokens: 16 };
  const moving = { video: video('moving.mp4'), sampling, generation };
  const questions = ['What colour is it?', { question: 'What moves?', options: ['a star', 'a circle'] }];
  const cancelled = await client.ask({ ...moving, questions: 'Which was cancelled?' });
  // The queue forgets a job that never began: the dashboard knows it from when it waited.
  await until(async () => (await jobsOf(url, 'state=waiting')) === 1);
  await client.cancel(cancelled);
  const absent = Array.from({ length: missing }, (_, i) => ({
    video: video(`gone-${i}.mp4`),
    questions: 'What?',
  }));
  const [first] = await client.askMany(absent);
  return {
    cancelled,
    missing: first!,
    broken: await client.ask({ video: video('broken.mp4'), questions: 'What is broken?' }),
    still: await client.ask({ ...moving, video: video('still.mp4'), questions: 'Which colour?' }),
    again: await client.ask({ ...moving, questions, compression: 'none' }),
    seen: await client.ask({ ...moving, questions, tags: { shift: 'late' } }),
  };
}

/** A real run of `visionzip batch`, one row of which fails. */
async function answerDataset({ bench: { dir, settings }, dataset }: Night, home: string): Promise<void> {
  const row = (id: number, video: string, kind: string) =>
    JSON.stringify({ id, video, question: `What is in row ${id}?`, answer: 'red', kind });
  const rows = [row(1, 'moving.mp4', 'colour'), row(2, 'still.mp4', 'colour'), row(3, 'broken.mp4', 'shape')];
  const [questions, out] = [join(dir, 'rows.jsonl'), join(dir, 'answers.jsonl')];
  writeFileSync(questions, rows.map((line) => `${line}\n`).join(''));
  const { queue, prefix } = settings;
  const env = {
    ...{ VISIONZIP_HOME: home, VISIONZIP_QUEUE: queue, VISIONZIP_PREFIX: prefix },
    ...{ VISIONZIP_VIDEO_DIRS: dir, VISIONZIP_MODEL_DIRS: models },
  };
  const args = ['batch', questions, '--out', out, '--run-id', dataset, '--frames', '4'];
  const { stdout, stderr } = await cli(args, env, dir);
  expect(stdout + stderr).toContain('2'); // Whatever it says of the row that failed, two were answered.
}
