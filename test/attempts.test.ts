import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Queue } from 'bullmq';
import { afterEach, describe, expect, it } from 'vitest';
import { patientOptions } from '../queues/connection.js';
import {
  type AskJobInput,
  type Attempt,
  attemptSchema,
  type Failure,
  type Result,
  readAttempts,
} from '../queues/index.js';
import { useRedis } from './support/redis.js';
import { callsOf, until } from './support/script.js';
import { Bench } from './support/worker.js';

const redis = useRedis();
let bench: Bench;

function open(overrides = {}): Bench {
  bench = new Bench(redis.home, redis.connection, overrides);
  return bench;
}

afterEach(() => bench.close());

/** The lines of a job's log, as BullMQ has them. */
async function linesOf(id: string): Promise<string[]> {
  const { queue: name, prefix } = bench.settings;
  const queue = new Queue(name, { prefix, connection: patientOptions(redis.connection) });
  try {
    return (await queue.getJobLogs(id)).logs;
  } finally {
    await queue.close();
  }
}

/** Strict on what is written. */
async function attemptsOf(id: string): Promise<Attempt[]> {
  return (await linesOf(id)).map((line) => attemptSchema.parse(JSON.parse(line)));
}

const ask = (video: string, rest: Partial<AskJobInput> = {}) =>
  bench.client.ask({ video, questions: 'what?', ...rest });

describe('an attempt that came to nothing', () => {
  it('leaves a line with its worker, its times and why; the document has the one that answered', async () => {
    open();
    await bench.worker();
    const id = await ask(bench.video('a.mp4', { die: 'SIGKILL' }, { die: 3 }, { text: 'red' }));
    const document = (await bench.client.wait(id)) as Result;
    expect(document).toMatchObject({
      status: 'completed',
      attempt: 3,
      worker: expect.stringMatching(/-\d+$/),
    });
    const [first, second, ...more] = await attemptsOf(id);
    expect(more).toEqual([]);
    const { worker } = document;
    expect(first).toMatchObject({ attempt: 1, worker, kind: 'internal' });
    expect(first!.reason).toContain('killed by SIGKILL');
    expect(second).toMatchObject({ attempt: 2, worker, kind: 'internal' });
    expect(second!.reason).toContain('exit code 3');
    const times = [first!.startedAt, first!.endedAt, second!.startedAt, second!.endedAt, document.finishedAt];
    expect(times).toEqual([...times].sort());
  });

  it('is none of a job that is answered at once', async () => {
    open();
    await bench.worker();
    const id = await ask(bench.video('a.mp4', { text: 'red' }));
    expect(await bench.client.wait(id)).toMatchObject({ status: 'completed', attempt: 1 });
    expect(await linesOf(id)).toEqual([]);
  });

  it('says whose fault it was, and the document of the failure whose attempt', async () => {
    open();
    await bench.worker();
    const id = await ask(bench.video('a.mp4', { fail: 'not a video', input: true }));
    const failure = (await bench.client.wait(id)) as Failure;
    expect(failure).toMatchObject({ status: 'failed', fault: 'video', attempts: 1 });
    expect(await attemptsOf(id)).toMatchObject([
      { attempt: 1, kind: 'video', reason: 'not a video', worker: failure.worker },
    ]);
  });

  it('says that it was cancelled, or too late', async () => {
    open();
    await bench.worker();
    const video = bench.video('a.mp4', { wait: true });
    const cancelled = await ask(video);
    await until(() => callsOf(video).length === 1);
    await bench.client.cancel(cancelled);
    const late = await ask(bench.video('b.mp4', { wait: true }), { deadlineMs: 200 });
    for (const [id, kind] of [
      [cancelled, 'cancelled'],
      [late, 'deadline'],
    ] as const) {
      await bench.client.wait(id);
      expect(await attemptsOf(id)).toMatchObject([{ attempt: 1, kind }]);
    }
  });

  it('is not tried again where the deadline passes while the file is read', async () => {
    open();
    const video = join(bench.dir, 'a.mp4');
    writeFileSync(video, Buffer.from('\0\0\0\x18ftypisom\0\0\0\0isommp42', 'latin1'));
    truncateSync(video, 2 ** 31); // Zeros that take no room, and more than 50 ms to be digested.
    await bench.worker();
    const id = await ask(video, { deadlineMs: 50 });
    const error = 'the job was stopped at its deadline of 50 ms';
    expect(await bench.client.wait(id)).toMatchObject({ status: 'failed', error, attempts: 1 });
    expect(await attemptsOf(id)).toMatchObject([{ attempt: 1, kind: 'deadline', reason: error }]);
  });

  it('says that the worker had to stop, and the next one answers', async () => {
    open({ drainMs: 1 });
    const video = bench.video('a.mp4', { wait: true }, { text: 'red' });
    const id = await ask(video);
    const first = await bench.worker();
    await until(() => callsOf(video).length === 1);
    await first.close();
    expect(await attemptsOf(id)).toMatchObject([{ attempt: 1, kind: 'shutdown' }]);
    await bench.worker();
    expect(await bench.client.wait(id)).toMatchObject({ status: 'completed', attempt: 2 });
  });
});

describe('what a worker logs of a job', () => {
  it('names the job and the attempt in every line, and the model process', async () => {
    open();
    await bench.worker();
    const id = await ask(bench.video('a.mp4', { die: 'SIGKILL' }, { text: 'red' }));
    await bench.client.wait(id);
    const lines = bench.log.filter(({ job }) => job === id);
    expect(lines.map(({ msg, attempt }) => [msg, attempt])).toEqual([
      ['run begins', 1],
      ['model process died', 1],
      ['attempt failed', 1],
      ['run begins', 2],
      ['job answered', 2],
    ]);
    expect(lines[0]).toMatchObject({
      pid: expect.any(Number),
      model: 'nano',
      isLoaded: false,
      hasVideo: false,
    });
    expect(lines[1]).toMatchObject({ pid: lines[0]!.pid });
  });
});

describe('reading attempts', () => {
  const attempt = {
    ...{ attempt: 1, worker: 'w', reason: 'why', kind: 'internal' },
    ...{ startedAt: '2026-01-01T00:00:00.000Z', endedAt: '2026-01-01T00:00:01.000Z' },
  };

  it('takes what later versions wrote, and leaves out what it cannot read', () => {
    const later = { ...attempt, kind: 'weather', mood: 'calm' };
    const lines = [
      '',
      'no JSON',
      'null',
      '{}',
      JSON.stringify(attempt),
      '{"attempt":',
      JSON.stringify(later),
    ];
    expect(readAttempts(lines)).toEqual([attempt, later]);
  });
});
