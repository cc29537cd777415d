import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, it } from 'vitest';
import type { AskJobInput, Failure, JobProgress, Result } from '../queues/index.js';
import { decoderSandbox } from '../src/media/ffmpeg.js';
import { isAlive } from '../src/workers/lock.js';
import { useRedis } from './support/redis.js';
import { type Call, callsOf, until } from './support/script.js';
import { Bench, writeModel } from './support/worker.js';

const redis = useRedis();
let bench: Bench;

function open(overrides = {}): Bench {
  bench = new Bench(redis.home, redis.connection, overrides);
  return bench;
}

afterEach(() => bench.close());

type Questions = AskJobInput['questions'];

async function ask(video: string, questions: Questions = 'what?', rest: Partial<AskJobInput> = {}) {
  return bench.client.ask({ video, questions, ...rest });
}

async function answered(video: string, questions?: Questions, rest?: Partial<AskJobInput>) {
  const document = await bench.client.wait(await ask(video, questions, rest));
  expect(document.status).toBe('completed');
  return document as Result;
}

async function failure(video: string, rest?: Partial<AskJobInput>): Promise<Failure> {
  const document = await bench.client.wait(await ask(video, 'what?', rest));
  expect(document.status).toBe('failed');
  return document as Failure;
}

async function failed(video: string, rest?: Partial<AskJobInput>): Promise<string> {
  return (await failure(video, rest)).error;
}

describe('an answer', () => {
  it('comes with its plan, its frames, its timings and the digests of video and model', async () => {
    open();
    await bench.worker();
    const video = bench.video('a.mp4', { text: 'red' });
    const result = await answered(video, ['what?', 'which?'], { sampling: { frames: 2 } });
    expect(result.answers.map(({ question, answer }) => [question, answer])).toEqual([
      ['what?', 'red'],
      ['which?', 'red'],
    ]);
    expect(result).toMatchObject({ cached: false, tokens: { before: 392, after: 128 }, plan: { frames: 2 } });
    expect(result.video).toMatchObject({ path: video, digest: expect.stringMatching(/^[0-9a-f]{64}$/) });
    expect(result.model).toMatchObject({
      name: 'nano',
      dtype: 'fp32',
      digest: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    expect(result.settings.sampling).toEqual({ frames: 2 });
    expect(result.timings).toMatchObject({ decodeMs: 1, totalMs: 12 });
    const line = bench.log.find(({ msg }) => msg === 'job answered');
    expect(line).toMatchObject({ job: result.id, attempt: 1, cached: false, timings: result.timings });
  });

  it('is told of while it is computed', async () => {
    open();
    const gate = join(bench.dir, 'gate');
    const id = await ask(bench.video('a.mp4', { text: 'red', progress: 3, gate }));
    const seen: JobProgress[] = [];
    const onProgress = (progress: JobProgress) => {
      seen.push(progress);
      if (progress.framesDone === 3) writeFileSync(gate, '');
    };
    const waited = bench.client.wait(id, { onProgress });
    await bench.worker();
    expect((await waited).status).toBe('completed');
    expect(seen.at(-1)).toMatchObject({ stage: 'encode', framesDone: 3, framesTotal: 3 });
  });
});

describe('an answer that is whole before the others', () => {
  it.each([
    [{}, true],
    [{ temperature: 1, seed: 3 }, true],
    [{ temperature: 1 }, false],
  ])('is told of, unless another attempt would answer otherwise (%o)', async (generation, isTold) => {
    open();
    const gate = join(bench.dir, 'gate');
    const id = await ask(bench.video('a.mp4', { text: 'red', gate }), ['what?', 'which?'], { generation });
    const told: Result[] = [];
    const seen: string[] = [];
    const waited = bench.client.wait(id, {
      onAnswer: (document) => void told.push(document),
      onProgress: ({ stage }) => void seen.push(stage),
    });
    await bench.worker();
    await until(() => (isTold ? told.length > 0 : seen.length > 0));
    writeFileSync(gate, '');
    const { answers, ...whole } = (await waited) as Result;
    expect(answers.length).toBe(2);
    if (!isTold) return expect(told).toEqual([]);
    expect(told).toEqual([{ ...whole, answers: [answers[0]], finishedAt: expect.any(String) }]);
  });
});

describe('the last answer of a job', () => {
  it('is not told of beside the document that has it', async () => {
    open();
    const gate = join(bench.dir, 'gate');
    writeFileSync(gate, '');
    const id = await ask(bench.video('a.mp4', { text: 'red', gate }));
    const told: Result[] = [];
    const waited = bench.client.wait(id, { onAnswer: (document) => void told.push(document) });
    await bench.worker();
    expect(await waited).toMatchObject({ status: 'completed', answers: [{ answer: 'red' }] });
    expect(told).toEqual([]);
  });
});

describe('what a worker says of itself', () => {
  it('is there while it listens, and expires with it', async () => {
    open({ concurrency: 2 });
    const worker = await bench.worker();
    const about = async () => (await bench.client.status()).workers?.[0]?.about;
    await until(async () => (await about()) !== null);
    const sandbox = await decoderSandbox();
    const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
    expect(await about()).toEqual({ version, sandbox, concurrency: 2 });
    const admin = new Redis(redis.socket);
    try {
      const [key] = await admin.keys(`${bench.settings.prefix}:*:worker:*`);
      expect(await admin.ttl(key!)).toBeGreaterThan(0);
      await worker.close();
      expect(await admin.exists(key!)).toBe(0);
    } finally {
      admin.disconnect();
    }
  });
});

describe('two models in turn', () => {
  it('are loaded once each: a job goes to the process that has its model', async () => {
    open({ concurrency: 2 });
    writeModel(join(bench.dir, 'models', 'other'));
    await bench.worker();
    const models = ['nano', 'other', 'nano', 'other', 'nano', 'other', 'nano', 'other'];
    const calls: Call[] = [];
    for (const [i, model] of models.entries()) {
      const video = bench.video(`${i}.mp4`, { text: `answer ${i}` });
      await answered(video, 'what?', { model });
      calls.push(...callsOf(video));
    }
    const loaded = new Set(calls.map(({ pid, modelDir }) => `${pid} ${modelDir}`));
    expect(calls).toHaveLength(8);
    expect(loaded.size).toBe(2);
  });
});

describe('several jobs at a time', () => {
  it('run in a model process each, as many as configured', async () => {
    open({ concurrency: 2 });
    const gate = join(bench.dir, 'gate');
    const videos = ['a.mp4', 'b.mp4', 'c.mp4'].map((name) => bench.video(name, { text: name, gate }));
    const ids = await Promise.all(videos.map((video) => ask(video)));
    await bench.worker();
    await until(() => videos.filter((video) => callsOf(video).length === 1).length === 2);
    expect((await bench.client.status()).counts).toMatchObject({ active: 2, waiting: 1 });
    writeFileSync(gate, '');
    const documents = (await Promise.all(ids.map((id) => bench.client.wait(id)))) as Result[];
    expect(documents.map(({ answers }) => answers[0]?.answer)).toEqual(['a.mp4', 'b.mp4', 'c.mp4']);
    expect(new Set(videos.flatMap(callsOf).map(({ pid }) => pid)).size).toBe(2);
  });
});

describe('the same question again', () => {
  it('is answered from the store, also for a copy of the video, and says so', async () => {
    open();
    await bench.worker();
    const first = await answered(bench.video('a.mp4', { text: 'red' }));
    const copy = bench.video('copy.mp4', { text: 'red' });
    const again = await answered(copy);
    expect(again).toMatchObject({ cached: true, video: { path: copy }, timings: { decodeMs: 0, onnxMs: 0 } });
    expect(again.answers).toEqual(first.answers.map((answer) => ({ ...answer, cached: true })));
    expect(callsOf(copy)).toEqual([]);
  });

  it('leaves only the new questions of a job to the model, each once', async () => {
    open();
    await bench.worker();
    const video = bench.video('a.mp4', { text: 'red' }, { text: 'blue' });
    await answered(video, 'old?');
    const mixed = await answered(video, ['new?', 'old?', 'new?']);
    expect(callsOf(video).map(({ questions }) => questions)).toEqual([['old?'], ['new?']]);
    expect(mixed.answers.map(({ answer, cached }) => [answer, cached])).toEqual([
      ['blue', false],
      ['red', true],
      ['blue', false],
    ]);
    expect(mixed.cached).toBe(false);
  });

  it('belongs to a question with its options', async () => {
    open();
    await bench.worker();
    const video = bench.video('a.mp4', { text: 'A' }, { text: 'B' }, { text: 'C' });
    const options = ['red', 'blue'];
    const reversed = { question: 'what?', options: ['blue', 'red'] };
    await answered(video, { question: 'what?', options });
    const asked = ['what?', { question: 'what?', options }, reversed, reversed];
    const { answers } = await answered(video, asked);
    expect(
      answers.map(({ question, options, answer, cached }) => [question, options, answer, cached]),
    ).toEqual([
      ['what?', undefined, 'B', false],
      ['what?', options, 'A', true],
      ['what?', ['blue', 'red'], 'B', false],
      ['what?', ['blue', 'red'], 'B', false],
    ]);
    expect(callsOf(video)[1]!.questions).toEqual(['what?', reversed]);
    // The same question and options, shown to the model in another way.
    const shown = { question: 'what?', options, showsOptions: true };
    const both = await answered(video, [shown, { question: 'what?', options }]);
    expect(both.answers.map(({ answer, cached }) => [answer, cached])).toEqual([
      ['C', false],
      ['A', true],
    ]);
  });

  it('is computed anew for other settings, another content, and sampling without a seed', async () => {
    open();
    await bench.worker();
    const video = bench.video('a.mp4', { text: 'red' });
    await answered(video);
    await answered(video, 'what?', { compression: 'none' });
    await answered(video, 'what?', { generation: { temperature: 1 } });
    await answered(video, 'what?', { generation: { temperature: 1 } });
    await answered(video, 'what?', { generation: { temperature: 1, seed: 1 } });
    expect((await answered(video, 'what?', { generation: { temperature: 1, seed: 1 } })).cached).toBe(true);
    expect(callsOf(video)).toHaveLength(5);
    bench.video('a.mp4', { text: 'red' }, { text: 'other' });
    expect((await answered(video)).answers[0]).toMatchObject({ answer: 'other', cached: false });
  });
});

describe('a video that changes while it is read', () => {
  it('is read anew, and nothing is stored of the mixture', async () => {
    open();
    await bench.worker();
    const gate = join(bench.dir, 'gate');
    const video = bench.video('a.mp4', { text: 'mixture', gate });
    const id = await ask(video);
    await until(() => callsOf(video).length === 1);
    bench.video('a.mp4', { text: 'mixture' }, { text: 'red' });
    writeFileSync(gate, '');
    expect(((await bench.client.wait(id)) as Result).answers[0]).toMatchObject({
      answer: 'red',
      cached: false,
    });
    expect(bench.log.map(({ reason }) => reason)).toContain(`${video} changed while it was read`);
  });
});

describe('a job that cannot be answered', () => {
  it('fails at once and in words when its input is at fault', async () => {
    open();
    await bench.worker();
    const refused = bench.video('a.mp4', { fail: 'expected a video, got a picture of one', input: true });
    expect(await failed(refused)).toBe('expected a video, got a picture of one');
    expect(callsOf(refused)).toHaveLength(1);
    expect(await failed('/etc/passwd')).toContain('outside the allowed folders');
    expect(await failed(join(bench.dir, 'none.mp4'))).toContain('does not exist');
    expect(await failed(join(bench.dir, 'models'))).toContain('is a folder');
    expect(await failed(bench.video('b.mp4', {}), { model: 'big' })).toContain('got "big"; there is nano');
  });

  it('says whose fault it is, and how often it was tried', async () => {
    open();
    await bench.worker();
    const ofInput = { fail: 'not this', input: true };
    expect(await failure(bench.video('a.mp4', ofInput))).toMatchObject({ fault: 'video', attempts: 1 });
    expect(await failure('/etc/passwd')).toMatchObject({ fault: 'video', attempts: 1 });
    expect(await failure(bench.video('b.mp4', {}), { model: 'big' })).toMatchObject({ fault: 'model' });
    const ofMachine = Array.from({ length: 3 }, () => ({ fail: 'out of luck' }));
    const tired = await failure(bench.video('c.mp4', ...ofMachine));
    expect(tired).toMatchObject({ fault: 'internal', attempts: 3, error: 'out of luck' });
  });

  it('fails at once when a producer put something else into the queue', async () => {
    open();
    await bench.worker();
    const { Queue } = await import('bullmq');
    const { prefix, queue } = bench.settings;
    const foreign = new Queue(queue, { connection: { path: redis.socket }, prefix });
    const job = await foreign.add(
      'ask',
      { video: 'a.mp4', questions: ['what?'], colour: 'red' },
      { jobId: 'x', attempts: 3 },
    );
    const document = await bench.client.wait(job.id!);
    await foreign.close();
    expect(document).toMatchObject({
      status: 'failed',
      error: 'the job was refused: `colour`: unknown field',
      fault: 'settings',
    });
  });

  it('is tried again after other faults, and fails with the last one', async () => {
    open();
    await bench.worker();
    const video = bench.video('a.mp4', { fail: 'first' }, { die: 'SIGKILL' }, { text: 'red' });
    expect((await answered(video)).answers[0]?.answer).toBe('red');
    const hopeless = bench.video('b.mp4', { die: 7 });
    expect(await failed(hopeless)).toBe('the model process ended with exit code 7');
    expect(callsOf(hopeless)).toHaveLength(3);
  });

  it('is stopped at the deadline, for good, and the next one runs', async () => {
    open({ deadlineMs: 2_500 }); // Enough for a process to start on a busy machine.
    await bench.worker();
    const video = bench.video('a.mp4', { hang: true });
    expect(await failed(video)).toBe('the job was stopped at its deadline of 2500 ms');
    const [call] = callsOf(video);
    expect(callsOf(video)).toHaveLength(1);
    await until(() => !isAlive(call!.pid) && !isAlive(call!.spawned!));
    await answered(bench.video('b.mp4', { text: 'red' }));
  });

  it('is stopped at a deadline of its own, and says its tags', async () => {
    open();
    await bench.worker();
    const own = { deadlineMs: 400, tags: { run: 'r1' } };
    expect(await failure(bench.video('a.mp4', { hang: true }), own)).toMatchObject({
      error: 'the job was stopped at its deadline of 400 ms',
      tags: { run: 'r1' },
    });
  });
});

describe('jobs with a priority', () => {
  it('are taken by it, behind those without one', async () => {
    open();
    const video = (name: string) => bench.video(name, { text: 'red' });
    const later = ['a.mp4', 'b.mp4'].map((name) => ({
      video: video(name),
      questions: 'what?',
      priority: 100,
    }));
    const ids = await bench.client.askMany([
      ...later,
      { video: video('c.mp4'), questions: 'what?', priority: 7 },
    ]);
    const single = await ask(video('d.mp4'));
    await bench.worker();
    const order = [single, ids[2]!, ids[0]!, ids[1]!];
    await Promise.all(order.map((id) => bench.client.wait(id)));
    const answered = bench.log.filter(({ msg }) => msg === 'job answered').map(({ job }) => job);
    expect(answered).toEqual(order);
  });

  it('leave their tags in the document, and answers are the same without', async () => {
    open();
    await bench.worker();
    const path = bench.video('a.mp4', { text: 'red' });
    const tags = { run: 'r1', part: 'dev' };
    const first = await answered(path, 'what?', { tags, priority: 3, deadlineMs: 60_000 });
    const second = await answered(path);
    expect([first.tags, second.tags, second.cached]).toEqual([tags, undefined, true]);
  });
});

describe('cancelling', () => {
  it('stops a running job, which is not tried again, and can be asked again', async () => {
    open();
    await bench.worker();
    const video = bench.video('a.mp4', { wait: true }, { text: 'red' });
    const id = await bench.client.ask({ video, questions: 'what?' }, { id: 'stop-me' });
    const document = await bench.client.wait(id, {
      onProgress: async () => expect(await bench.client.cancel(id)).toBe('requested'),
    });
    expect(document).toMatchObject({ status: 'cancelled', error: 'cancelled by request' });
    expect(callsOf(video)).toHaveLength(1);
    expect(await bench.client.cancel(id)).toBe('finished');
    await bench.client.ask({ video, questions: 'what?' }, { id });
    expect(await bench.client.wait(id)).toMatchObject({ status: 'completed' });
  });

  it('is heard by a worker that takes the job up after another one died with it', async () => {
    open();
    const video = bench.video('a.mp4', { text: 'red' });
    const id = await ask(video);
    const { prefix, queue } = bench.settings;
    await withRedis((client) => client.set(`${prefix}:${queue}:cancel:${id}`, '1'));
    await bench.worker();
    expect(await bench.client.wait(id)).toMatchObject({ status: 'cancelled' });
    expect(callsOf(video)).toEqual([]);
  });
});

describe('a worker that is told to stop', () => {
  it('lets its job finish', async () => {
    open();
    const gate = join(bench.dir, 'gate');
    const video = bench.video('a.mp4', { text: 'red', gate });
    const id = await ask(video);
    const worker = await bench.worker();
    await until(() => callsOf(video).length === 1);
    const closed = worker.close();
    writeFileSync(gate, '');
    await closed;
    expect(await bench.client.result(id)).toMatchObject({ status: 'completed' });
    expect(isAlive(callsOf(video)[0]!.pid)).toBe(false);
  });

  it('puts a job back that takes longer than the drain limit, without using up an attempt', async () => {
    open({ attempts: 1, drainMs: 50 });
    const video = bench.video('a.mp4', { hang: true }, { text: 'red' });
    const id = await ask(video);
    const worker = await bench.worker();
    await until(() => callsOf(video).length === 1);
    await worker.close();
    expect(await bench.client.result(id)).toBeNull();
    expect((await bench.client.status()).counts).toMatchObject({ waiting: 1, active: 0 });
    await bench.worker();
    expect(await bench.client.wait(id)).toMatchObject({ status: 'completed' });
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
