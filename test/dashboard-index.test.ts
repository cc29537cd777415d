import { mkdtempSync, rmSync } from 'node:fs';
import { Queue, Worker } from 'bullmq';
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { hastyClient, patientOptions, type RedisClient, type RedisConnection } from '../queues/connection.js';
import { Documents, failedReasonOf, failureDocument } from '../queues/documents.js';
import { makeJobId } from '../queues/job-id.js';
import { cancelledReason, keysOf } from '../queues/options.js';
import { errorClassOf } from '../src/batch/error-class.js';
import { jobQuerySchema } from '../src/dashboard/api/schemas.js';
import { type Entry, entryOf } from '../src/dashboard/index/entry.js';
import { figuresOf } from '../src/dashboard/index/figures.js';
import { JobIndex, type JobIndexOptions } from '../src/dashboard/index/index.js';
import { facetsOf, groupErrors, listJobs } from '../src/dashboard/index/query.js';
import type { JobRecord } from '../src/dashboard/index/record.js';
import { Rows } from '../src/dashboard/index/rows.js';
import { type HaystackPart, haystackOf, partHasWords, wordsOf } from '../src/dashboard/index/words.js';
import { stageNames } from '../src/pipeline/timings.js';
import { useRedis } from './support/redis.js';
import { until } from './support/script.js';
import { Servers, startCluster } from './support/servers.js';
import { Bench } from './support/worker.js';

const redis = useRedis();

describe('the class of an error', () => {
  it.each([
    ['"clip 7.mp4" is no video', '… is no video'],
    ["token budget 54 + 10 exceeds the frame's 49 tokens", "token budget … + … exceeds the frame's … tokens"],
    ['/videos/night one.mp4: cannot be read (ENOENT)', '… one.mp4: cannot be read (ENOENT)'],
    ['cannot open ../clips/a.mp4, or /b/c: no such file', 'cannot open …, or …: no such file'],
    ['`sampling.frames`: too small: expected >=1', '`sampling.frames`: too small: expected >=…'],
    ['the decoder h264 failed on packet 12 of 0x7f3a', 'the decoder h264 failed on packet … of …'],
    ['model 9f86d081884c7d659a2feaa0c55ad015 is gone', 'model … is gone'],
    ['job 1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed stalled', 'job … stalled'],
    ["can't read 'a b' at 1.5e-3 s, 12:30", "can't read … at … s, …"],
    ['lines 1, 2, 3 are\n  damaged', 'lines … are damaged'],
    ['the job was stopped at its deadline of 500ms', 'the job was stopped at its deadline of …ms'],
    ['', ''],
  ])('of %j is %j', (message, expected) => {
    expect(errorClassOf(message)).toBe(expected);
  });

  it('is short, and soon known, whatever the message is', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (message) => {
        expect(errorClassOf(message).length).toBeLessThanOrEqual(300);
      }),
    );
    // An expression that goes back and forth would not end before the test does.
    for (const long of [
      '"'.repeat(1e6),
      '\\'.repeat(1e6),
      '1.'.repeat(1e6),
      '/a'.repeat(1e6),
      'a-'.repeat(1e6),
    ])
      errorClassOf(long);
  });
});

/** What is waited for until it is opened. */
function gateOf() {
  let open = () => {};
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, passed };
}

const plain: JobRecord = {
  ...{ data: null, timestamp: 1_000, priority: 0, processedOn: null, finishedOn: null, failedReason: null },
  ...{ returnvalue: null, attempts: 0, worker: null, progress: null },
};

function entry(id: string, data: object, record: Partial<JobRecord> = {}): Entry {
  return entryOf(id, { ...plain, data: JSON.stringify(data), ...record }, 'waiting');
}

function answered(answers: string[], ms: number, finishedOn: number, rest: object = {}): Partial<JobRecord> {
  const timings = Object.fromEntries(stageNames.map((name) => [name, name === 'encodeMs' ? ms : 0]));
  const summary = {
    cached: false,
    answers,
    timings: { ...timings, totalMs: ms, firstTokenMs: ms / 2 },
    ...rest,
  };
  return { processedOn: finishedOn - ms, finishedOn, returnvalue: JSON.stringify(summary), attempts: 1 };
}

describe('a row', () => {
  it('is made of what BullMQ keeps', () => {
    const data = {
      video: '/v/clip.mp4',
      questions: ['a?', { question: 'b?', options: ['x', 'y'] }],
      tags: { run: 'r' },
    };
    const record = { ...answered(['red', 'A'], 200, 5_000), worker: 'host-1', timestamp: 4_000 };
    expect(entry('j', data, record).row).toMatchObject({
      ...{ id: 'j', video: 'clip.mp4', question: 'a?', questions: 2, state: 'completed', dataset: 'r' },
      ...{
        waitMs: 800,
        totalMs: 200,
        firstTokenMs: 100,
        answers: ['red', 'A'],
        worker: 'host-1',
        error: null,
      },
    });
  });

  it('tells cancelled from failed, and whose fault it was', () => {
    const ended = { processedOn: 1, finishedOn: 2 };
    const cancelled = entry('c', {}, { ...ended, failedReason: cancelledReason });
    expect(cancelled.row).toMatchObject({ state: 'cancelled', fault: null, errorClass: null });
    const failed = entry('f', {}, { ...ended, failedReason: failedReasonOf('video', '"a b" is no video') });
    expect(failed.row).toMatchObject({
      ...{ state: 'failed', fault: 'video', error: '"a b" is no video', errorClass: '… is no video' },
    });
    const tried = entry('t', {}, { ...answered(['x'], 1, 3), failedReason: 'the first attempt failed' });
    expect(tried.row).toMatchObject({ state: 'completed', error: null });
  });

  it('comes of whatever other programs put into the queue', () => {
    for (const data of [
      'null',
      '3',
      '"text"',
      '[]',
      '{',
      '{"video":7,"questions":{"a":1}}',
      '{"questions":[null]}',
    ]) {
      const { row } = entryOf('x', { ...plain, data, returnvalue: data, finishedOn: 5 }, 'waiting');
      expect(row).toMatchObject({ id: 'x', video: '', state: 'completed', answers: [] });
    }
  });
});

describe('words', () => {
  it('are looked for once each, whatever their case', () => {
    expect(wordsOf(' A b  a\0B É e\u0301 ')).toEqual(['a', 'b', 'é']);
  });

  it('are found in one part of a text', () => {
    const texts = { id: 'i1', video: 'v1', questions: ['q1', 'q2\0q3'], answers: [''], error: 'e1' };
    const haystack = haystackOf(texts);
    const found = (part: HaystackPart, words: string) => partHasWords(haystack, part, wordsOf(words));
    expect([
      found('id', 'i1'),
      found('video', 'V1'),
      found('questions', 'q2 q3'),
      found('error', 'e1'),
    ]).toEqual([true, true, true, true]);
    expect([
      found('id', 'v1'),
      found('answers', 'e1'),
      found('questions', 'q1 e1'),
      found('error', 'q3'),
    ]).toEqual([false, false, false, false]);
    expect(found('answers', '')).toBe(true);
  });
});

describe('rows', () => {
  const rows = new Rows();
  const videos = ['ÄRGER im Café.mp4', 'clip.mp4', 'night.mp4', 'clip.mp4'];
  videos.forEach((video, i) => {
    const record = i < 3 ? answered([`answer ${i}`], 100 * (i + 1), 10_000 + i) : {};
    rows.set(
      entry(`job${i}`, { video, questions: [`what is ${i}?`], model: 'nano' }, { timestamp: i, ...record }),
    );
  });
  const ids = (query: object) => listJobs(rows, jobQuerySchema.parse(query)).rows.map(({ id }) => id);

  it('come in each order', () => {
    expect(ids({})).toEqual(['job3', 'job2', 'job1', 'job0']);
    expect(ids({ order: 'oldest' })).toEqual(['job0', 'job1', 'job2', 'job3']);
    expect(ids({ order: 'slowest' })).toEqual(['job2', 'job1', 'job0', 'job3']);
    expect(ids({ order: 'fastest' })).toEqual(['job0', 'job1', 'job2', 'job3']);
    expect(ids({ order: 'finished' })).toEqual(['job2', 'job1', 'job0', 'job3']);
    expect(listJobs(rows, jobQuerySchema.parse({ offset: 1, limit: 2 }))).toMatchObject({
      ...{ total: 4, rows: [{ id: 'job2' }, { id: 'job1' }] },
    });
  });

  it('that were asked in the same millisecond come in the order of their ids, whenever they were read', () => {
    const asked = Array.from({ length: 9_000 }, makeJobId);
    const orders = [asked, asked.toReversed()].map((ids) => {
      const read = new Rows();
      for (const id of ids) read.set(entry(id, {}, { timestamp: 5 }));
      return (['oldest', 'finished', 'fastest'] as const).map((order) =>
        read.inOrder(order).map(({ row }) => row.id),
      );
    });
    for (const [oldest, finished, fastest] of orders) {
      expect(oldest).toEqual(asked);
      expect(finished).toEqual(asked.toReversed());
      expect(fastest).toEqual(asked.toReversed());
    }
    const numbered = new Rows();
    for (const id of ['10', '9', '1a', '100', 'a']) numbered.set(entry(id, {}, { timestamp: 5 }));
    expect(numbered.inOrder('newest').map(({ row }) => row.id)).toEqual(['a', '1a', '100', '10', '9']);
  });

  it('are found by words in any case and order, and by fields', () => {
    expect(ids({ text: 'cafe\u0301 ärger' })).toEqual(['job0']); // An accent of its own is the same letter.
    expect(ids({ text: 'CLIP what' })).toEqual(['job3', 'job1']);
    expect(ids({ text: 'clip absent' })).toEqual([]);
    expect(ids({ video: 'what' })).toEqual([]);
    expect(ids({ question: 'what 3' })).toEqual(['job3']);
    expect(ids({ answer: 'answer' })).toEqual(['job2', 'job1', 'job0']);
    expect(ids({ model: 'nano', state: ['waiting'] })).toEqual(['job3']);
    expect(ids({ minMs: 150, maxMs: 250 })).toEqual(['job1']);
    expect(ids({ from: 1, to: 2 })).toEqual(['job2', 'job1']);
    expect(ids({ text: 'job2\0' })).toEqual(['job2']);
  });

  it('stay in order when they change and go', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            id: fc.integer({ min: 0, max: 20 }),
            at: fc.integer({ min: 0, max: 99 }),
            isGone: fc.boolean(),
          }),
        ),
        (steps) => {
          const changing = new Rows();
          const expected = new Map<string, number>();
          for (const { id, at, isGone } of steps) {
            if (isGone) changing.delete(`${id}`);
            else changing.set(entry(`${id}`, {}, { timestamp: at }));
            if (isGone) expected.delete(`${id}`);
            else expected.set(`${id}`, at);
            const found = [...changing.inOrder('newest')].map(({ row }) => row.createdAt);
            expect(found).toEqual([...expected.values()].sort((a, b) => b - a));
          }
        },
      ),
    );
  });

  it('are grouped by their errors, and offer what to filter by', () => {
    const failing = new Rows();
    const fail = (id: string, error: string, finishedOn: number) =>
      failing.set(
        entry(id, { video: `${id}.mp4`, model: 'm' }, { processedOn: 1, finishedOn, failedReason: error }),
      );
    fail('a', '[video] "a.mp4" is no video', 10);
    fail('b', '[video] "b.mp4" is no video', 30);
    fail('c', 'the process died with 137', 20);
    fail('d', cancelledReason, 20);
    expect(groupErrors(failing, {})).toEqual([
      {
        ...{ errorClass: '… is no video', fault: 'video', count: 2, firstAt: 10, lastAt: 30 },
        example: { id: 'b', video: 'b.mp4', error: '"b.mp4" is no video' },
      },
      expect.objectContaining({ errorClass: 'the process died with …', fault: 'internal', count: 1 }),
    ]);
    expect(facetsOf(failing)).toEqual({
      ...{
        models: ['m'],
        datasets: [],
        workers: [],
        errorClasses: ['the process died with …', '… is no video'].sort(),
      },
    });
  });

  it('come to figures of the hours that are asked for', () => {
    const now = 3_600_000 * 10;
    const ending = new Rows();
    const minute = 60_000;
    // 10, 20, 30 and 40 ms; the last but one from stored tokens, the last stored, and one an hour too early.
    const all = [
      answered(['x'], 10, now - 1),
      answered(['x'], 20, now - 2 * minute, { tokens: { before: 100, after: 40 } }),
      answered(['x'], 30, now - 3 * minute, { reused: 'tokens' }),
      answered(['x'], 40, now - 4 * minute, { cached: true }),
      answered(['x'], 50, now - 61 * minute),
    ];
    all.forEach((record, i) => void ending.set(entry(`${i}`, {}, record)));
    const { series, stages, tokens, reuse, jobsPerMinute } = figuresOf(ending, 1, now);
    expect(series.stepSeconds).toBe(60);
    expect(series.points).toHaveLength(60);
    expect(series.points.slice(-5).map(({ completed }) => completed)).toEqual([0, 1, 1, 1, 1]);
    const encode = stages.find(({ stage }) => stage === 'encodeMs')!;
    expect(encode.count).toBe(3);
    expect([encode.p50, encode.p90, encode.p99].map((ms) => Math.round(ms))).toEqual([20, 30, 30]);
    expect(stages.map(({ stage }) => stage)).toEqual(['encodeMs', 'firstTokenMs', 'totalMs']);
    expect(tokens).toEqual({ before: 100, after: 40 });
    expect(reuse).toEqual({ jobs: 4, cached: 1, tokens: 1, prefix: 0 });
    expect(jobsPerMinute).toBe(1);
  });
});

it('shows a step of time as it was once it is over', () => {
  const rows = new Rows();
  const minute = 60_000;
  const start = 1_000 * minute;
  for (let i = 0; i < 60; i++) rows.set(entry(`${i}`, {}, answered(['x'], 1, start + i * 7_919)));
  const atTime = (now: number) => figuresOf(rows, 1, now).series.points;
  const before = atTime(start + 8 * minute + 1);
  expect(before.at(-1)!.at).toBe(start + 8 * minute);
  // By hand: of the 60 ends, 7.919 s apart, 8 lie in the first minute (0 to 55.4 s) and 8 in the second (63.4 to 118.8 s).
  expect(before.slice(-9, -7).map(({ completed }) => completed)).toEqual([8, 8]);
  expect(atTime(start + 9 * minute - 1)).toEqual(before);
  expect(atTime(start + 9 * minute + 30_000).slice(0, 59)).toEqual([...before.slice(1)]);
});

it('counts into the rate what workers did, not what was cancelled before it began', () => {
  const rows = new Rows();
  const now = 3_600_000;
  rows.set(entry('done', {}, answered(['x'], 10, now - 120_000)));
  const cancelled = { finishedOn: now - 1_000, failedReason: cancelledReason };
  for (let i = 0; i < 100; i++) rows.set(entry(`${i}`, {}, cancelled));
  expect(figuresOf(rows, 1, now).jobsPerMinute).toBe(0.5);
});

describe('the index', () => {
  let bench: Bench;
  let client: RedisClient;
  let index: JobIndex;
  const servers = new Servers();

  function open(connection: RedisConnection, options: Partial<JobIndexOptions> = {}, settings = {}) {
    bench = new Bench(redis.home, connection, settings);
    client = hastyClient(connection);
    const { prefix, queue } = bench.settings;
    return () => {
      index = new JobIndex({ redis: client, connection, prefix, queue, ...options });
    };
  }
  const key = (name: string) => `${bench.settings.prefix}:${bench.settings.queue}:${name}`;
  const isComplete = () => until(() => index.progress.isComplete);
  const ask = (...names: string[]) =>
    bench.client.askMany(names.map((video) => ({ video, questions: 'what?' })));

  afterEach(async () => {
    await index.close();
    client.disconnect();
    await bench.close();
    servers.end();
  });

  it('reads what is there, waiting and ended, in pages', async () => {
    const start = open(redis.connection);
    const video = bench.video('a.mp4', { text: 'red' });
    const first = await bench.client.ask({ video, questions: 'what?' });
    const worker = await bench.worker();
    await bench.client.wait(first);
    await worker.close();
    await ask(...Array.from({ length: 600 }, (_, i) => `${i}.mp4`));
    await bench.client.ask({ video: 'p.mp4', questions: 'what?', priority: 3 });
    start();
    await isComplete();
    expect(index.progress).toEqual({ jobs: 602, of: 602, isComplete: true });
    expect(index.get(first)).toMatchObject({ state: 'completed', answers: ['red'], attempts: 1 });
    const { total, rows } = index.list(jobQuerySchema.parse({ state: ['waiting'], limit: 1 }));
    expect([total, rows[0]?.video, rows[0]?.priority]).toEqual([601, 'p.mp4', 3]);
  });

  it('follows each job, and finds by comparing what no event told', async () => {
    open(redis.connection, { compareMs: 100 })();
    await isComplete();
    const [a, b] = await ask('a.mp4', 'b.mp4');
    await until(() => index.get(b!)?.state === 'waiting');
    // As if the events had got lost, or a server its last second.
    await bench.client.status();
    const admin = hastyClient(redis.connection);
    await admin.connect();
    await admin.multi().lrem(key('wait'), 0, a!).del(key(a!)).exec();
    await admin
      .multi()
      .lrem(key('wait'), 0, b!)
      .zadd(key('failed'), 5, b!)
      .hset(key(b!), 'finishedOn', 5, 'failedReason', 'lost')
      .exec();
    await until(() => index.get(a!) === null && index.get(b!)?.state === 'failed');
    expect(index.get(b!)).toMatchObject({ error: 'lost', finishedAt: 5 });
    expect(index.progress).toMatchObject({ jobs: 1, of: 1 });
    admin.disconnect();
  });

  it('goes on beside keys and jobs that other programs left behind', async () => {
    const start = open(redis.connection);
    const [id] = await ask('a.mp4');
    const admin = hastyClient(redis.connection);
    await admin.connect();
    await admin
      .multi()
      .set(key('odd'), 'no hash')
      .zadd(key('completed'), 1, 'odd')
      .hset(key('empty'), 'name', 'x')
      .zadd(key('failed'), 1, 'empty')
      .hset(key('bad'), { timestamp: 'soon', data: '{"questions":', finishedOn: 3, returnvalue: '[' })
      .zadd(key('completed'), 3, 'bad')
      // Times that no calendar has.
      .hset(key('never'), { timestamp: 1, data: '{}', finishedOn: 1e300, failedReason: 'x' })
      .zadd(key('failed'), 4, 'never')
      .exec();
    admin.disconnect();
    start();
    await isComplete();
    expect(index.list(jobQuerySchema.parse({})).rows.map((row) => row.id)).toEqual([id, 'never', 'bad']);
  });

  it('keeps jobs that were cancelled before they began, those too of which it knew nothing', async () => {
    const start = open(redis.connection, { compareMs: 50 });
    const [early] = await ask('a.mp4');
    await bench.client.cancel(early!);
    start();
    await isComplete();
    const [late] = await ask('b.mp4');
    await until(() => index.get(late!)?.state === 'waiting');
    await bench.client.cancel(late!);
    await until(() => index.get(late!)?.state === 'cancelled');
    expect(index.get(early!)).toMatchObject({ state: 'cancelled', video: '' });
    // One that it never saw before it was cancelled.
    const document = failureDocument('fast', cancelledReason, { data: { tags: { run: 'night' } } });
    await new Documents(client, keysOf(bench.settings.prefix, bench.settings.queue), 60).writeOnce(document);
    await client.xadd(key('events'), '*', 'event', 'removed', 'jobId', 'fast');
    await until(() => index.get('fast')?.state === 'cancelled');
    expect(index.get('fast')).toMatchObject({ dataset: 'night', attempts: 0 });
    expect(index.cancelled()).toEqual({ listed: 0, detached: 3 });
    expect(index.get(late!)).toMatchObject({ video: 'b.mp4', error: cancelledReason });
    // A comparison that found something new has looked at all of them again, and has nothing to say of them.
    const heard: string[] = [];
    index.onChange((rows) => heard.push(...rows.map(({ id }) => id)));
    await client.multi().hset(key('new'), 'timestamp', 1, 'data', '{}').lpush(key('wait'), 'new').exec();
    await until(() => heard.length > 0);
    expect(heard).toEqual(['new']);
  });

  it('forgets no cancelled job, and waits with no other, where its document does not come', async () => {
    open(redis.connection)();
    await isComplete();
    const [gone] = await ask('a.mp4');
    await until(() => index.get(gone!)?.state === 'waiting');
    let fail = (_error: Error) => {};
    const { get } = client;
    client.get = () => new Promise((_, reject) => (fail = reject));
    await bench.client.cancel(gone!);
    await client
      .multi()
      .hset(key('new'), 'timestamp', 1, 'data', '{}')
      .lpush(key('wait'), 'new')
      .xadd(key('events'), '*', 'event', 'removed', 'jobId', gone!)
      .xadd(key('events'), '*', 'event', 'waiting', 'jobId', 'new')
      .exec();
    await until(() => index.get('new') !== null);
    client.get = get;
    fail(new Error('Connection is closed.'));
    await until(() => index.get(gone!)?.state === 'cancelled');
  });

  it('does not take how far a job was when it was read for how far it is, as it was told meanwhile', async () => {
    const start = open(redis.connection);
    const pipeline = client.pipeline.bind(client);
    let gate: Promise<void> | null = null;
    let held = 0;
    vi.spyOn(client, 'pipeline').mockImplementation(() => {
      const made = pipeline();
      const exec = made.exec.bind(made);
      made.exec = async () => {
        const replies = await exec();
        held += gate ? 1 : 0;
        await gate;
        return replies;
      };
      return made;
    });
    const { prefix, queue } = bench.settings;
    const at = (framesDone: number) => ({
      ...{ stage: 'encode', framesDone, framesTotal: 9, answersDone: 0, answersTotal: 1 },
    });
    const [further, opened] = [gateOf(), gateOf()];
    const worker = new Worker(
      queue,
      async (job) => {
        await job.updateProgress(at(1));
        await further.passed;
        await job.updateProgress(at(2));
        return new Promise(() => {});
      },
      { connection: patientOptions(redis.connection), prefix },
    );
    start();
    const [id] = await ask('clip.mp4');
    const done = () => index.get(id!)?.progress?.framesDone;
    await until(() => done() === 1);
    gate = opened.passed;
    await client.xadd(key('events'), '*', 'event', 'active', 'jobId', id!, 'prev', 'waiting');
    await until(() => held > 0);
    further.open();
    await until(() => done() === 2);
    const { version } = index;
    gate = null;
    opened.open();
    await until(() => index.version > version);
    expect(done()).toBe(2);
    await worker.close(true);
  });

  it('keeps the newest jobs where there are too many, and says of how many', async () => {
    const start = open(redis.connection, { limit: 10 });
    await ask(...Array.from({ length: 25 }, (_, i) => `${i}.mp4`));
    start();
    await isComplete();
    expect(index.progress).toEqual({ jobs: 10, of: 25, isComplete: true });
    const { rows } = index.list(jobQuerySchema.parse({}));
    expect(rows.map(({ video }) => Number.parseInt(video, 10)).sort((x, y) => y - x)).toEqual(
      Array.from({ length: 10 }, (_, i) => 24 - i),
    );
  });

  it('sees a paused and emptied queue', async () => {
    open(redis.connection, { compareMs: 200 })();
    const { prefix, queue: name } = bench.settings;
    const queue = new Queue(name, { connection: { ...redis.connection } as object, prefix });
    await queue.pause();
    const [id] = await ask('a.mp4');
    await until(() => index.get(id!)?.state === 'waiting');
    await queue.drain();
    await until(() => index.progress.jobs === 0);
    await queue.close();
  });

  it('works in a cluster, whose prefix is in braces', async () => {
    const home = mkdtempSync('/tmp/vz-');
    const cluster = await startCluster(servers, '{visionzip}');
    const connection = { cluster: cluster.places, slotsRefreshInterval: 500 };
    const start = open(connection, {}, { home, redis: connection, prefix: '{visionzip}' });
    await ask('a.mp4');
    const [cancelled] = await ask('c.mp4');
    await bench.client.cancel(cancelled!);
    start();
    await isComplete();
    expect(index.get(cancelled!)?.state).toBe('cancelled');
    const [later] = await ask('b.mp4');
    await until(() => index.get(later!) !== null);
    expect(
      index
        .list(jobQuerySchema.parse({ order: 'oldest', state: ['waiting'] }))
        .rows.map(({ video }) => video),
    ).toEqual(['a.mp4', 'b.mp4']);
    rmSync(home, { recursive: true });
  });
});
