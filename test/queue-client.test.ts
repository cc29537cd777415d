import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Job, Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { QueueClient } from '../queues/client.js';
import { RedisUnavailableError } from '../queues/connection.js';
import { Documents } from '../queues/documents.js';
import { UnknownJobError } from '../queues/errors.js';
import { keysOf } from '../queues/options.js';
import type { AskJobInput, ResultDocument } from '../queues/schemas.js';
import { freshQueue, useRedis } from './support/redis.js';

const server = useRedis();
const progress = { stage: 'encode', framesDone: 1, framesTotal: 2, answersDone: 0, answersTotal: 1 };
const job: AskJobInput = { video: 'a.mp4', questions: 'what?' };
let queue: string;
let client: QueueClient;
let redis: Redis;
let workers: Worker[];

beforeEach(() => {
  queue = freshQueue();
  client = new QueueClient({ connection: server.connection, queue, attempts: 1 });
  redis = new Redis(server.socket);
  redis.on('error', () => {}); // One of the tests kills the server.
  workers = [];
});
afterEach(async () => {
  await Promise.all(workers.map((worker) => worker.close()));
  await client.close();
  redis.disconnect();
});

/** A worker of BullMQ's own, with none of ours around it. */
function work(process: (job: Job) => Promise<unknown>): Worker {
  const worker = new Worker(queue, process, { connection: { path: server.socket }, prefix: 'visionzip' });
  workers.push(worker);
  return worker;
}

/** Any document will do for a completed job that nobody looks into. */
async function write(id: string): Promise<ResultDocument> {
  const result = JSON.parse(readFileSync(new URL('fixtures/result.json', import.meta.url), 'utf8'));
  const documents = new Documents(redis, keysOf('visionzip', queue), 100);
  await documents.writeOnce({ ...result, id });
  return (await documents.read(id))!;
}

describe('asking', () => {
  it('puts the job with its defaults under a random id into the queue', async () => {
    const ids = [await client.ask(job), await client.ask(job)];
    expect(ids[0]).not.toBe(ids[1]);
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f-]{27}$/);
    const [data, opts] = await redis.hmget(`visionzip:${queue}:${ids[0]}`, 'data', 'opts');
    expect(JSON.parse(data!)).toEqual({
      ...{
        video: 'a.mp4',
        questions: ['what?'],
        sampling: {},
        compression: 'auto',
        generation: {},
        model: 'nano',
      },
    });
    expect(JSON.parse(opts!)).toMatchObject({ attempts: 1, backoff: { type: 'exponential', delay: 1000 } });
  });

  it.each([
    [{ ...job, colour: 'red' }, '`colour`: unknown field', 'settings'],
    [
      { ...job, sampling: { frames: 0 } },
      '`sampling.frames`: too small: expected number to be >=1',
      'settings',
    ],
    [{ ...job, sampling: { frames: 1, fps: 1 } }, '`sampling`: give `frames` or `fps`, not both', 'settings'],
    [{ ...job, questions: '  ' }, '`questions`: the question is empty', 'question'],
    [
      { ...job, tags: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`t${i}`, 'x'])) },
      '`tags`: there are more than 16 tags',
      'settings',
    ],
    [{ ...job, questions: ['what?', ''] }, '`questions[1]`: the question is empty', 'question'],
    [
      { ...job, history: [{ question: 'who?' }] },
      '`history[0].answer`: expected string, received undefined',
      'question',
    ],
    [
      { ...job, questions: 7 },
      '`questions`: expected string, received number, or expected object, received number, ' +
        'or expected array, received number',
      'question',
    ],
    [
      { ...job, compression: { dominant: 1 } },
      '`compression.contextual`: expected number, received undefined',
      'settings',
    ],
    [{ ...job, model: '../etc' }, '`model`: a model is named by its folder', 'model'],
    [{ questions: 'what?' }, '`video`: expected string, received undefined', 'video'],
    [null, 'the job: expected object, received null', 'settings'],
  ])('refuses %j', async (wrong, sentence, fault) => {
    const refused = client.ask(wrong as AskJobInput);
    await expect(refused).rejects.toThrow(TypeError);
    await expect(refused).rejects.toThrow(`the job was refused: ${sentence}`);
    await expect(refused).rejects.toMatchObject({ name: 'JobRefusedError', fault });
  });

  it.each(['', '12', '.', '..', 'a:b', 'a b', 'meta', 'result', 'x'.repeat(129)])(
    'refuses the id %j',
    async (id) => {
      await expect(client.ask(job, { id })).rejects.toThrow(TypeError);
    },
  );

  it('of many jobs gives their ids in order, or enqueues none where one is at fault', async () => {
    const jobs = Array.from({ length: 1_100 }, (_, i) => ({
      ...job,
      questions: `what is ${i}?`,
      priority: 5,
    }));
    const ids = await client.askMany(jobs);
    expect(new Set(ids).size).toBe(1_100);
    const data = await redis.hget(`visionzip:${queue}:${ids[1_050]}`, 'data');
    expect(JSON.parse(data!)).toMatchObject({ questions: ['what is 1050?'], priority: 5 });
    await expect(client.askMany([job, { ...job, questions: ' ' }])).rejects.toThrow(
      'the job at 1 was refused: `questions`: the question is empty',
    );
    expect((await client.status()).counts).toMatchObject({ prioritized: 1_100, waiting: 0 });
  });

  it('refuses a job that is too large for a queue', async () => {
    const questions = Array.from({ length: 100 }, (_, i) => `${i} ${'x'.repeat(16_000)}`);
    await expect(client.ask({ ...job, questions })).rejects.toMatchObject({
      name: 'JobRefusedError',
      message: expect.stringMatching(/^the job was refused: it has \d{7} bytes, the limit is 1048576$/),
    });
  });

  it('enqueues a job of a given id once', async () => {
    await Promise.all([1, 2, 3].map(() => client.ask(job, { id: 'mine' })));
    expect((await client.status()).counts.waiting).toBe(1);
    await expect(client.ask({ ...job, questions: 'else?' }, { id: 'mine' })).rejects.toThrow(
      'the id "mine" stands for another job',
    );
  });

  it('does not enqueue a job again whose document is there', async () => {
    await write('mine');
    expect(await client.ask(job, { id: 'mine' })).toBe('mine');
    expect((await client.status()).counts.waiting).toBe(0);
  });

  it('asks a failed job again, once for many callers, also with another content', async () => {
    const runs: unknown[] = [];
    work(async ({ data }) => {
      runs.push(data.questions);
      throw new Error('no luck');
    });
    await client.ask(job, { id: 'mine' });
    expect(await client.wait('mine')).toMatchObject({ status: 'failed', error: 'no luck' });
    const again = { ...job, questions: 'again?' };
    await Promise.all([1, 2, 3, 4].map(() => client.ask(again, { id: 'mine' })));
    expect(await client.wait('mine')).toMatchObject({ status: 'failed' });
    expect(runs).toEqual([['what?'], ['again?']]);
  });

  it('is refused by a server that is nearly full, and in words by one that is full', async () => {
    const used = Number(/used_memory:(\d+)/.exec(await redis.info('memory'))![1]);
    try {
      await redis.config('SET', 'maxmemory', Math.round(used / 0.9));
      await expect(client.ask(job)).rejects.toThrow(
        /uses \d+ of its \d+ bytes \(\d+ %\); no jobs are taken from 80 %/,
      );
      await redis.config('SET', 'maxmemory', 0);
      await client.ask(job);
      await redis.config('SET', 'maxmemory', 1);
      await expect(client.ask(job)).rejects.toThrow(`Redis at ${server.socket} refused: OOM`);
    } finally {
      await redis.config('SET', 'maxmemory', 0);
    }
  });
});

describe('waiting', () => {
  it('looks at a job once where events are heard already', async () => {
    await expect(client.wait(await client.ask(job), { timeoutMs: 50 })).rejects.toThrow('was not finished');
    const id = await client.ask(job);
    await redis.config('RESETSTAT');
    await expect(client.wait(id, { timeoutMs: 200 })).rejects.toThrow('was not finished');
    const stats = await redis.info('commandstats');
    const calls = (command: string) =>
      Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
    expect([calls('get'), calls('evalsha'), calls('hgetall')]).toEqual([1, 1, 0]);
  });

  it('gives the document of a job that had finished before anyone waited', async () => {
    const document = await write('mine');
    expect(await client.wait('mine')).toEqual(document);
    expect(await client.result('mine')).toEqual(document);
  });

  it('gives every caller the document as soon as the job has completed', async () => {
    const ids = await Promise.all(Array.from({ length: 50 }, () => client.ask(job)));
    const waited = ids.flatMap((id) => [client.wait(id), client.wait(id)]);
    work(async ({ id }) => write(id!));
    const documents = await Promise.all(waited);
    expect(documents.map(({ id }) => id)).toEqual(ids.flatMap((id) => [id, id]));
  });

  it('needs no event: BullMQ trims them', async () => {
    const id = await client.ask(job);
    let waited: Promise<ResultDocument> | undefined;
    const hears = new Promise<unknown>((resolve) => {
      waited = client.wait(id, { onProgress: resolve });
    });
    const producer = new Queue(queue, { connection: { path: server.socket }, prefix: 'visionzip' });
    await producer.updateJobProgress(id, progress);
    await hears;
    await producer.close();
    await write(id); // Nothing in the queue tells of it.
    expect(await waited).toMatchObject({ id, status: 'completed' });
  });

  it('passes progress on, also what workers of later versions say', async () => {
    const later = { ...progress, stage: 'merge', blocksDone: 3 };
    const id = await client.ask(job);
    const seen: unknown[] = [];
    const waited = client.wait(id, { onProgress: (update) => seen.push(update) });
    work(async (job) => {
      await job.updateProgress({ nonsense: 1 });
      await job.updateProgress(progress);
      await job.updateProgress(later);
      await write(job.id!);
    });
    await waited;
    expect(seen).toEqual([progress, later]);
  });

  it('ends with a time limit, a signal, a closed client, an unknown id; the job goes on', async () => {
    const id = await client.ask(job);
    await expect(client.wait(id, { timeoutMs: 20 })).rejects.toMatchObject({
      name: 'TimeoutError',
      message: `job ${id} was not finished after 20 ms; it goes on`,
    });
    const reason = new Error('enough');
    await expect(client.wait(id, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    await expect(client.wait('none')).rejects.toThrow(new UnknownJobError('no job has the id "none"'));
    const other = new QueueClient({ connection: server.connection, queue });
    const waited = expect(other.wait(id)).rejects.toThrow('the queue client was closed');
    await other.close();
    await waited;
    expect((await client.status()).counts.waiting).toBe(1);
  });
});

describe('cancelling', () => {
  it('removes a job that waits and tells those who wait for it', async () => {
    const id = await client.ask(job);
    const waited = client.wait(id);
    expect(await client.cancel(id)).toBe('cancelled');
    expect(await waited).toMatchObject({ id, status: 'cancelled', error: 'cancelled by request' });
    expect((await client.status()).counts.waiting).toBe(0);
    expect(await client.cancel(id)).toBe('finished');
    expect(await client.cancel('none')).toBe('unknown');
  });

  it('removes a job that pauses before another attempt', async () => {
    const patient = new QueueClient({ connection: server.connection, queue, attempts: 2, backoffMs: 60_000 });
    const id = await patient.ask(job);
    const worker = work(async () => {
      throw new Error('no luck');
    });
    await new Promise((resolve) => worker.once('failed', resolve));
    expect((await client.status()).counts.delayed).toBe(1);
    expect(await patient.cancel(id)).toBe('cancelled');
    await patient.close();
    expect((await client.status()).counts.delayed).toBe(0);
  });

  it('leaves the keys of the queue itself alone', async () => {
    await client.ask(job);
    const meta = await redis.hgetall(`visionzip:${queue}:meta`);
    expect(await client.cancel('meta')).toBe('unknown');
    expect(await redis.hgetall(`visionzip:${queue}:meta`)).toEqual(meta);
    expect(await client.result('meta')).toBeNull();
  });

  it('lets a cancelled job be asked again', async () => {
    await client.ask(job, { id: 'mine' });
    await client.cancel('mine');
    await client.ask(job, { id: 'mine' });
    expect(await client.result('mine')).toBeNull();
    expect((await client.status()).counts.waiting).toBe(1);
  });

  it('asks the workers to stop a job that runs', async () => {
    const listener = redis.duplicate();
    await listener.subscribe(keysOf('visionzip', queue).cancelChannel);
    const heard = new Promise((resolve) => listener.once('message', (_channel, id) => resolve(id)));
    let started = () => {};
    const running = new Promise<void>((resolve) => {
      started = resolve;
    });
    work(async () => {
      started();
      await heard;
    });
    const id = await client.ask(job);
    await running;
    expect(await client.cancel(id)).toBe('requested');
    expect(await heard).toBe(id);
    listener.disconnect();
  });
});

describe('the status', () => {
  it('tells the jobs by state, the workers and the server', async () => {
    await client.ask(job);
    const idle = await client.status();
    expect(idle).toMatchObject({ address: server.socket, prefix: 'visionzip', queue, workers: [] });
    expect(idle.counts).toMatchObject({ waiting: 1, active: 0, delayed: 0, completed: 0, failed: 0 });
    expect(idle.redis).toMatchObject({ maxMemoryPolicy: 'noeviction', maxMemoryBytes: 0 });
    await work(async () => {}).waitUntilReady();
    expect((await client.status()).workers).toHaveLength(1);
  });
});

describe('a Redis that is gone', () => {
  it.each([
    [
      { url: 'redis://user:secret@127.0.0.1:1' },
      'cannot reach Redis at redis://127.0.0.1:1: connect ECONNREFUSED',
    ],
    [{ path: '/nowhere/s' }, 'cannot reach Redis at /nowhere/s: connect ENOENT'],
    [{ url: 'redis://host.invalid' }, 'cannot reach Redis at redis://host.invalid: getaddrinfo'],
  ])('is told of at once: %j', async (connection, sentence) => {
    const lost = new QueueClient({ connection });
    const calls = [lost.ask(job), lost.result('a'), lost.wait('a'), lost.cancel('a'), lost.status()];
    for (const call of calls) {
      const error = await call.catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(RedisUnavailableError);
      expect((error as Error).message).toContain(sentence);
    }
    await lost.close();
  });

  it('is told of when it goes later, and used again when it is back', async () => {
    await client.ask(job);
    process.kill(Number(readFileSync(join(server.home, 'redis/pid'), 'utf8')), 'SIGKILL');
    await expect(client.ask(job)).rejects.toThrow(`cannot reach Redis at ${server.socket}`);
    await server.start();
    await client.ask(job);
    expect((await client.status()).counts.waiting).toBe(2);
  });
});
