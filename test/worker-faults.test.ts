import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, it } from 'vitest';
import { Documents } from '../queues/documents.js';
import { keysOf } from '../queues/options.js';
import type { Result } from '../queues/schemas.js';
import { isAlive } from '../src/workers/lock.js';
import { useRedis } from './support/redis.js';
import { callsOf, until } from './support/script.js';
import { Bench } from './support/worker.js';

const redis = useRedis();
const processes: ChildProcess[] = [];
let bench: Bench;

function open(overrides = {}): Bench {
  bench = new Bench(redis.home, redis.connection, overrides);
  return bench;
}

/** A worker as a process of its own; resolves once a job runs in it. */
async function workerProcess(video: string): Promise<ChildProcess> {
  const file = fileURLToPath(new URL('./fixtures/worker-process.mjs', import.meta.url));
  const worker = spawn(process.execPath, [file, JSON.stringify(bench.settings)], { stdio: 'ignore' });
  processes.push(worker);
  await until(() => callsOf(video).length > 0);
  return worker;
}

afterEach(async () => {
  for (const worker of processes.splice(0)) worker.kill('SIGKILL');
  await bench.close();
});

/** The document, once the job is no longer active either. */
async function answerOf(id: string): Promise<Result> {
  const document = await bench.client.wait(id);
  await until(async () => (await bench.client.status()).counts.completed === 1);
  return document as Result;
}

describe('a worker that is killed', () => {
  it('leaves its job to another one, which answers it once', async () => {
    open();
    const video = bench.video('a.mp4', { gate: join(bench.dir, 'never') }, { text: 'red' });
    const id = await bench.client.ask({ video, questions: 'what?' });
    const killed = await workerProcess(video);
    killed.kill('SIGKILL');
    await bench.worker();
    expect((await answerOf(id)).answers[0]?.answer).toBe('red');
    const [first, second] = callsOf(video);
    expect(callsOf(video)).toHaveLength(2);
    expect(second?.pid).not.toBe(first?.pid);
    await until(() => !isAlive(first!.pid)); // No orphan works on.
    expect((await bench.client.status()).counts).toMatchObject({
      completed: 1,
      failed: 0,
      active: 0,
      waiting: 0,
    });
  });

  it('after it had answered does not have the job answered again', async () => {
    open();
    const video = bench.video('a.mp4', { text: 'red' }, { text: 'blue' });
    const id = await bench.client.ask({ video, questions: 'what?' });
    const worker = await bench.worker();
    const answered = await answerOf(id);
    await worker.close();
    // The same state as after a kill between the document and BullMQ's own record: the job runs once more.
    const { prefix, queue } = bench.settings;
    await withRedis(async (client) => {
      await client.zrem(`${prefix}:${queue}:completed`, id);
      await client.rpush(`${prefix}:${queue}:wait`, id);
      const keys = await client.keys(`${prefix}:answer:*`);
      await client.del(...keys);
    });
    await bench.worker();
    expect(await answerOf(id)).toEqual(answered);
    expect(callsOf(video)).toHaveLength(1);
  });

  it('again and again gives the job up in the end, and says so', async () => {
    open({ maxStartedAttempts: 2 });
    const video = bench.video('a.mp4', { gate: join(bench.dir, 'never') });
    const id = await bench.client.ask({ video, questions: 'what?' });
    for (const runs of [1, 2]) {
      const worker = await workerProcess(video);
      await until(() => callsOf(video).length === runs);
      worker.kill('SIGKILL');
      await once(worker, 'exit');
    }
    await bench.worker();
    const document = await bench.client.wait(id);
    expect(document).toMatchObject({ status: 'failed', error: 'job started more than allowable limit' });
    expect(callsOf(video)).toHaveLength(2);
  });
});

describe('two workers', () => {
  it('that computed the same question both give the answer that was stored first', async () => {
    open();
    const gates = [join(bench.dir, 'gate1'), join(bench.dir, 'gate2')];
    const video = bench.video('a.mp4', { text: 'red', gate: gates[0] }, { text: 'blue', gate: gates[1] });
    const ids = [await bench.client.ask({ video, questions: 'what?' })];
    await bench.worker();
    await until(() => callsOf(video).length === 1);
    ids.push(await bench.client.ask({ video, questions: 'what?' }));
    await bench.worker();
    await until(() => callsOf(video).length === 2);
    writeFileSync(gates[1]!, '');
    const second = (await bench.client.wait(ids[1]!)) as Result;
    writeFileSync(gates[0]!, '');
    const first = (await bench.client.wait(ids[0]!)) as Result;
    expect([first, second].map(({ answers }) => answers[0])).toMatchObject([
      { answer: 'blue', cached: false },
      { answer: 'blue', cached: false },
    ]);
  });
});

describe('signals', () => {
  it('let a running job finish at the first, and end everything at the second', async () => {
    open();
    const video = bench.video('a.mp4', { hang: true });
    await bench.client.ask({ video, questions: 'what?' });
    const worker = await workerProcess(video);
    const exited = once(worker, 'exit');
    worker.kill('SIGTERM');
    await until(async () => (await bench.client.status()).workers!.length === 0);
    expect(worker.exitCode).toBeNull();
    worker.kill('SIGTERM');
    expect(await exited).toEqual([1, null]);
    const { pid, spawned } = callsOf(video)[0]!;
    await until(() => !isAlive(pid) && !isAlive(spawned!));
  });

  it('end a worker without jobs at once', async () => {
    open();
    const video = bench.video('a.mp4', { text: 'red' });
    const id = await bench.client.ask({ video, questions: 'what?' });
    const worker = await workerProcess(video);
    await bench.client.wait(id);
    const exited = once(worker, 'exit');
    worker.kill('SIGTERM');
    expect(await exited).toEqual([0, null]);
  });
});

describe('a Redis that goes away during a job', () => {
  const signal = (name: NodeJS.Signals) =>
    process.kill(Number(readFileSync(join(redis.home, 'redis/pid'), 'utf8')), name);
  const kill = () => signal('SIGKILL');
  const limitMemory = (bytes: number) => withRedis((client) => client.config('SET', 'maxmemory', bytes));

  it('and comes back gets the answer, and the worker goes on by itself', async () => {
    open();
    const gate = join(bench.dir, 'gate');
    const video = bench.video('a.mp4', { text: 'red', gate });
    const id = await bench.client.ask({ video, questions: 'what?' });
    await bench.worker();
    const waited = bench.client.wait(id);
    await until(() => callsOf(video).length === 1);
    kill();
    await expect(bench.client.ask({ video, questions: 'else?' })).rejects.toThrow(/cannot reach Redis at/);
    await redis.start();
    writeFileSync(gate, '');
    expect(await waited).toMatchObject({ status: 'completed' });
    expect(callsOf(video)).toHaveLength(1);
    const next = bench.video('b.mp4', { text: 'blue' });
    expect(
      await bench.client.wait(await bench.client.ask({ video: next, questions: 'what?' })),
    ).toMatchObject({
      status: 'completed',
    });
  });

  it('for longer than the lock does not have the job answered twice', async () => {
    open();
    const gate = join(bench.dir, 'gate');
    const video = bench.video('a.mp4', { text: 'red', gate }, { text: 'blue' });
    const id = await bench.client.ask({ video, questions: 'what?' });
    await bench.worker();
    await until(() => callsOf(video).length === 1);
    const { prefix, queue } = bench.settings;
    await withRedis((client) => client.del(`${prefix}:${queue}:${id}:lock`));
    await until(async () => (await bench.client.status()).counts.waiting === 1);
    writeFileSync(gate, '');
    expect((await answerOf(id)).answers[0]?.answer).toBe('red');
    expect(callsOf(video)).toHaveLength(1);
  });

  const stuck = { drainMs: 100, abortGraceMs: 100 };

  it('for good does not keep a worker from stopping', async () => {
    open(stuck);
    const worker = await bench.worker();
    kill();
    await worker.close();
    await redis.start();
  });

  for (const [how, hold, release] of [
    ['is killed', kill, () => {}],
    ['is frozen', () => signal('SIGSTOP'), () => signal('SIGCONT')],
    ['refuses to write', () => limitMemory(1), () => limitMemory(0)],
  ] as const) {
    for (const jobs of [0, 1]) {
      it(`because it ${how} does not keep the process of a worker with ${jobs} jobs alive`, async () => {
        open(stuck);
        const video = bench.video('a.mp4', { text: 'red' }, { hang: true });
        const id = await bench.client.ask({ video, questions: 'what?' });
        const worker = await workerProcess(video);
        await bench.client.wait(id);
        if (jobs === 1) {
          await bench.client.ask({ video, questions: 'else?' });
          await until(() => callsOf(video).length === 2);
        }
        const exited = once(worker, 'exit');
        await hold();
        try {
          worker.kill('SIGTERM');
          expect(await exited).toEqual([0, null]);
        } finally {
          await release();
          await redis.start();
        }
        for (const { pid, spawned } of callsOf(video)) {
          await until(() => !isAlive(pid) && !(spawned && isAlive(spawned)));
        }
      });
    }
  }
});

describe('a Redis without memory or disk left', () => {
  it('gets the answer once it has room again, and nothing is computed twice', async () => {
    open({ attempts: 1 });
    const gate = join(bench.dir, 'gate');
    const video = bench.video('a.mp4', { text: 'red', gate });
    const id = await bench.client.ask({ video, questions: 'what?' });
    await bench.worker();
    await until(() => callsOf(video).length === 1);
    const waited = bench.client.wait(id);
    await withRedis((client) => client.config('SET', 'maxmemory', 1));
    writeFileSync(gate, '');
    await until(() => bench.log.some(({ reason }) => String(reason).startsWith('OOM')));
    expect(await bench.client.result(id)).toBeNull();
    await withRedis((client) => client.config('SET', 'maxmemory', 0));
    expect(await waited).toMatchObject({ status: 'completed' });
    expect(callsOf(video)).toHaveLength(1);
  });
});

describe('the document of a job', () => {
  it('that was written first stays', async () => {
    open();
    const { prefix, queue } = bench.settings;
    await withRedis(async (client) => {
      const documents = new Documents(client, keysOf(prefix, queue), 100);
      const finishedAt = new Date().toISOString();
      const ended = { status: 'failed' as const, fault: 'internal' as const, attempts: 1, finishedAt };
      const first = { id: 'a', error: 'first', ...ended };
      expect(await documents.writeOnce(first)).toEqual(first);
      expect(await documents.writeOnce({ ...first, error: 'second' })).toEqual(first);
      const drops = await Promise.all([1, 2, 3].map(() => documents.dropFailure('a')));
      expect(drops.filter(Boolean)).toHaveLength(1); // Of several who ask it again, one does.
      await documents.writeOnce(first);
      expect(await client.ttl(`${prefix}:${queue}:result:a`)).toBeGreaterThan(90);
    });
  });

  it('that failed before it was asked again does not answer it', async () => {
    open({ attempts: 1 });
    const { prefix, queue } = bench.settings;
    const finishedAt = new Date(Date.now() - 1).toISOString();
    const late = {
      id: 'a',
      error: 'late',
      status: 'failed',
      fault: 'internal',
      attempts: 1,
      finishedAt,
    } as const;
    await bench.client.ask({ video: bench.video('a.mp4', { text: 'red' }), questions: 'what?' }, { id: 'a' });
    await withRedis((client) => new Documents(client, keysOf(prefix, queue), 100).writeOnce(late));
    await bench.worker();
    await until(() => bench.log.some(({ msg }) => msg === 'job answered'));
    await until(async () => (await bench.client.result('a'))?.status === 'completed');
  });
});

async function withRedis<T>(use: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(redis.socket);
  try {
    return await use(client);
  } finally {
    client.disconnect();
  }
}
