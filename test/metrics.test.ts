import { execFile, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import type { AskJobInput } from '../queues/index.js';
import { type Dashboard, startDashboard } from '../src/dashboard/server.js';
import { type AskWorker, startWorker } from '../src/workers/worker.js';
import { cli, startCli } from './support/cli.js';
import { parseExposition, sampleOf } from './support/exposition.js';
import { askHttp } from './support/http.js';
import { useRedis } from './support/redis.js';
import { callsOf, until } from './support/script.js';
import { Bench } from './support/worker.js';

const redis = useRedis();
let bench: Bench;
let ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.reverse()) await end();
  ends = [];
});

const metrics = { host: '127.0.0.1', port: 0 };

function open(overrides = {}): Bench {
  bench = new Bench(redis.home, redis.connection, { metrics, ...overrides });
  ends.push(() => bench.close());
  return bench;
}

/** The metrics as Prometheus gets them. */
async function scrape(url: string) {
  const { status, headers, text } = await askHttp(new URL('metrics', url));
  expect(status).toBe(200);
  expect(headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
  return { families: parseExposition(text), text };
}

const answered = async (job: AskJobInput) => bench.client.wait(await bench.client.ask(job));

/** Whatever Prometheus' own tool finds wrong, where it is installed. */
function complaintsOf(text: string): string {
  const { error, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], {
    input: text,
    encoding: 'utf8',
  });
  return error ? '' : stdout + stderr;
}

describe('the metrics of a worker', () => {
  async function startReal(): Promise<AskWorker> {
    open({ modelDirs: [fileURLToPath(new URL('../models', import.meta.url))] });
    const tokenStore = { dir: join(bench.dir, 'tokens'), limitBytes: 2 ** 30 };
    const clips = fileURLToPath(new URL('../dist/scripts/clips.js', import.meta.url));
    await promisify(execFile)(process.execPath, [clips, '--count', '1', '--out', bench.dir]);
    const worker = await startWorker({ ...bench.settings, tokenStore }, pino({ level: 'silent' }));
    ends.push(() => worker.close());
    return worker;
  }

  it('count what the shipped model did, and where the time went', async () => {
    const worker = await startReal();
    const video = join(bench.dir, 'clip-000.mp4');
    const document = await answered({ video, questions: 'What moves?' });
    if (document.status !== 'completed') throw new Error(document.error);
    await answered({ video, questions: 'What moves?' }); // Stored.
    const before = await answered({ video, questions: 'How many objects are there?' });
    if (before.status !== 'completed') throw new Error(before.error);
    await answered({ video: join(bench.dir, 'none.mp4'), questions: 'What?' });
    const { families, text } = await scrape(worker.metricsUrl!);
    const value = (name: string, labels?: Record<string, string>) => sampleOf(families, name, labels);

    expect(value('visionzip_jobs_total', { outcome: 'completed' })).toBe(3);
    expect(value('visionzip_jobs_total', { outcome: 'failed', fault: 'video' })).toBe(1);
    expect(value('visionzip_jobs_total', { outcome: 'failed', fault: 'internal' })).toBe(0);
    expect(value('visionzip_attempts_total')).toBe(4);
    const reused = ['none', 'answers', 'tokens', 'prefix'].map((reused) =>
      value('visionzip_answered_total', { reused }),
    );
    expect(reused).toEqual([1, 1, 0, 1]);
    expect(value('visionzip_frames_total')).toBe(document.frames.length + before.frames.length);
    expect(value('visionzip_tokens_before_total')).toBe(document.tokens.before + before.tokens.before);
    expect(value('visionzip_tokens_after_total')).toBe(document.tokens.after + before.tokens.after);
    expect(value('visionzip_jobs_active')).toBe(0);
    expect(value('visionzip_build_info')).toBe(1);

    for (const stage of ['queue', 'decode', 'encode', 'compress', 'prefill', 'generate'] as const) {
      const seconds = (document.timings[`${stage}Ms`] + before.timings[`${stage}Ms`]) / 1000;
      expect(value('visionzip_stage_seconds_sum', { stage })).toBeCloseTo(seconds, 6);
      expect(value('visionzip_stage_seconds_count', { stage })).toBe(2);
      expect(value('visionzip_stage_seconds_bucket', { stage, le: '+Inf' })).toBe(2);
    }
    expect(value('visionzip_job_seconds_count')).toBe(2);
    expect(complaintsOf(text)).toBe('');
    expect(text).not.toMatch(/clip-000|What moves/);
  });

  it('say how much work waits, by what a job took so far', async () => {
    open({ concurrency: 1 });
    const { metricsUrl } = await bench.worker();
    const waiting = async () =>
      sampleOf((await scrape(metricsUrl!)).families, 'visionzip_work_waiting_seconds');
    expect(await waiting()).toBeUndefined();
    const document = await answered({ video: bench.video('a.mp4', { text: 'red' }), questions: 'What?' });
    if (document.status !== 'completed') throw new Error(document.error);
    expect(document.timings.totalMs).toBeGreaterThan(0);
    expect(await waiting()).toBe(0);
    const video = bench.video('b.mp4', { hang: true });
    for (const priority of [0, 0, 7]) await bench.client.ask({ video, questions: 'What?', priority });
    await until(() => callsOf(video).length === 1);
    expect(await waiting()).toBeCloseTo((2 * document.timings.totalMs) / 1000, 6);
  });

  it('count jobs in hand, cancelled ones, and attempts that are tried again', async () => {
    open();
    const { metricsUrl } = await bench.worker();
    const video = bench.video('a.mp4', { fail: 'out of luck' }, { hang: true });
    const id = await bench.client.ask({ video, questions: 'What?' });
    const read = async () => (await scrape(metricsUrl!)).families;
    await until(async () => sampleOf(await read(), 'visionzip_attempts_total') === 2);
    expect(sampleOf(await read(), 'visionzip_jobs_active')).toBe(1);
    await bench.client.cancel(id);
    await bench.client.wait(id);
    await until(async () => sampleOf(await read(), 'visionzip_jobs_total', { outcome: 'cancelled' }) === 1);
    const families = await read();
    expect(sampleOf(families, 'visionzip_jobs_active')).toBe(0);
    expect(sampleOf(families, 'visionzip_jobs_total', { outcome: 'completed' })).toBe(0);
  });

  it('are well named, in base units, each with a help, and with few series', async () => {
    open();
    const { families } = await scrape((await bench.worker()).metricsUrl!);
    const own = [...families].filter(([name]) => name.startsWith('visionzip_'));
    expect(own.length).toBeGreaterThan(8);
    for (const [name, { type, help, samples }] of own) {
      expect(help.length).toBeGreaterThan(10);
      expect([name, type]).toEqual([name, expect.stringMatching(/^(counter|gauge|histogram)$/)]);
      expect(name.endsWith('_total')).toBe(type === 'counter');
      if (type === 'histogram') expect(name).toMatch(/_seconds$/);
      expect(samples.length).toBeLessThan(250);
    }
  });

  it('say whether jobs are taken, to this machine by its own names alone', async () => {
    open();
    const worker = await bench.worker();
    const url = worker.metricsUrl!;
    const status = async (path: string, headers = {}, method = 'GET') =>
      (await askHttp(new URL(path, url), { headers, method })).status;
    expect(new URL(url).hostname).toBe('127.0.0.1');
    expect([await status('healthz'), await status('readyz'), await status('other')]).toEqual([200, 200, 404]);
    expect(await status('metrics', { host: 'evil.example' })).toBe(403);
    expect(await status('metrics', {}, 'POST')).toBe(405);
    await redis.stop();
    await until(async () => (await status('readyz')) === 503);
    expect(await status('healthz')).toBe(200);
    await redis.start();
    await until(async () => (await status('readyz')) === 200);
    await worker.close();
    await expect(status('healthz')).rejects.toThrow('ECONNREFUSED');
  });

  it('are told nowhere unless a port is named', async () => {
    open({ metrics: { host: '127.0.0.1', port: null } });
    expect((await bench.worker()).metricsUrl).toBe(null);
  });
});

describe('visionzip worker --metrics-port', () => {
  it('serves them, and is a wrong command line where the port is taken', async () => {
    open();
    const env = {
      VISIONZIP_HOME: redis.home,
      VISIONZIP_QUEUE: bench.settings.queue,
      VISIONZIP_METRICS_PORT: '1',
    };
    const { child, ended, stderrHas } = startCli(['worker', '--metrics-port', '0'], env);
    await stderrHas('worker started');
    child.kill('SIGTERM');
    const { stderr } = await ended;
    const { url } = JSON.parse(stderr.split('\n').find((line) => line.includes('metrics are served'))!);
    expect(new URL(url).hostname).toBe('127.0.0.1');
    const taken = new URL((await bench.worker()).metricsUrl!).port;
    const second = await cli(['worker', '--metrics-port', taken], env);
    expect([second.code, second.stderr]).toEqual([2, expect.stringContaining('for metrics (EADDRINUSE)')]);
    expect((await cli(['worker', '--metrics-port', '70000'], env)).stderr).toContain('from 0 to 65535');
  });
});

describe('the metrics of the dashboard', () => {
  async function startBoth(token = ''): Promise<Dashboard> {
    open();
    const credential = token ? ({ scheme: 'bearer', token } as const) : null;
    const settings = { ...bench.settings, dashboard: { credential }, logLevel: 'silent' };
    const started = await startDashboard({ settings, connection: redis.connection, port: 0 });
    ends.push(() => started.close());
    return started;
  }

  it('say how the queue, its workers and Redis stand', async () => {
    const { url } = await startBoth();
    await bench.client.askMany([
      { video: 'a', questions: 'a?' },
      { video: 'b', questions: 'b?', priority: 3 },
    ]);
    const { families, text } = await scrape(url);
    const jobs = (state: string) => sampleOf(families, 'visionzip_queue_jobs', { state });
    expect(['waiting', 'delayed', 'active', 'completed', 'failed'].map(jobs)).toEqual([2, 0, 0, 0, 0]);
    expect(sampleOf(families, 'visionzip_workers')).toBe(0);
    expect(sampleOf(families, 'visionzip_redis_up')).toBe(1);
    expect(sampleOf(families, 'visionzip_redis_memory_used_bytes')).toBeGreaterThan(100_000);
    expect(sampleOf(families, 'visionzip_redis_memory_limit_bytes')).toBe(0);
    expect(complaintsOf(text)).toBe('');
    await bench.worker();
    await until(async () => sampleOf((await scrape(url)).families, 'visionzip_workers') === 1);
  });

  it('are named in docs/dashboard.md as those of workers are, and no others', async () => {
    const { url } = await startBoth();
    const worker = await bench.worker();
    const told = [await scrape(url), await scrape(worker.metricsUrl!)].flatMap(({ families }) => [
      ...families.keys(),
    ]);
    const own = told.filter((name) => name.startsWith('visionzip_'));
    const docs = readFileSync(new URL('../docs/dashboard.md', import.meta.url), 'utf8');
    const named = [...docs.matchAll(/`(visionzip_\w+)[^`]*`/g)].map(([, name]) => name!);
    expect([...new Set(named)].sort()).toEqual([...new Set(own)].sort());
  });

  it('are for those alone who are let in; health is for all', async () => {
    const { url } = await startBoth('abcdefgh');
    const ask = (path: string, headers = {}) => askHttp(new URL(path, url), { headers });
    expect((await ask('metrics')).status).toBe(401);
    expect((await ask('metrics', { authorization: 'Bearer abcdefg' })).status).toBe(401);
    expect((await ask('metrics', { authorization: 'Bearer abcdefgh' })).status).toBe(200);
    expect((await ask('healthz')).status).toBe(200);
    expect((await ask('readyz')).status).toBe(200);
  });

  it('say that Redis is away, and nothing else of it', async () => {
    const { url } = await startBoth();
    await redis.stop();
    const { families } = await scrape(url);
    expect(sampleOf(families, 'visionzip_redis_up')).toBe(0);
    expect(sampleOf(families, 'visionzip_queue_jobs', { state: 'waiting' })).toBe(undefined);
    expect(sampleOf(families, 'visionzip_workers')).toBe(undefined);
    const { status, text } = await askHttp(new URL('readyz', url));
    expect([status, text]).toEqual([503, 'Redis does not answer\n']);
    expect((await askHttp(new URL('healthz', url))).status).toBe(200);
    await redis.start();
    await until(async () => sampleOf((await scrape(url)).families, 'visionzip_redis_up') === 1);
  });
});
