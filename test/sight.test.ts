import { randomBytes } from 'node:crypto';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { pino } from 'pino';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hastyClient, patientClient, patientOptions } from '../queues/connection.js';
import type { Result, Sight } from '../queues/index.js';
import { sightSchema, summarySchema } from '../queues/index.js';
import { keysOf } from '../queues/options.js';
import { readSight, unpackSight } from '../queues/sight.js';
import { describeSight, type PackedSight, SightMaker } from '../src/workers/sight-maker.js';
import { SightStore } from '../src/workers/sight-store.js';
import { type AskWorker, startWorker } from '../src/workers/worker.js';
import { ffmpeg, h264, plainFrames, testPattern } from './media.js';
import { freshQueue, useRedis } from './support/redis.js';
import { until } from './support/script.js';
import { Bench } from './support/worker.js';

const redis = useRedis();

describe('what the shipped model saw', () => {
  let bench: Bench;
  let worker: AskWorker;
  let client: Redis;
  let moving: string;
  let still: string;

  beforeAll(async () => {
    const models = fileURLToPath(new URL('../models', import.meta.url));
    bench = new Bench(redis.home, redis.connection, {
      modelDirs: [models],
      tokenStore: { dir: join(redis.home, 'tokens'), limitBytes: 2 ** 28 },
    });
    client = patientClient(redis.connection) as Redis;
    moving = join(bench.dir, 'moving.mp4');
    await ffmpeg(...testPattern(320, 240, 20, 5), ...h264(), moving);
    // A picture for a second, and then another one for a second.
    still = join(bench.dir, 'still.mp4');
    const half = (colour: string) => ['-f', 'lavfi', '-i', `color=${colour}:size=192x192:rate=10:duration=1`];
    await ffmpeg(...half('red'), ...half('blue'), '-filter_complex', 'concat=n=2', ...h264(), still);
    worker = await startWorker(bench.settings, pino({ level: 'silent' }));
  }, 60_000);

  afterAll(async () => {
    await worker?.close();
    client?.disconnect();
    await bench?.close();
  });

  const keys = () => keysOf(bench.settings.prefix, bench.settings.queue);

  async function ask(video: string, question: string, frames: number): Promise<Result> {
    const sampling = { frames, method: 'uniform' } as const;
    const generation = { maxNewTokens: 4 };
    const document = await bench.client.askAndWait({ video, questions: question, sampling, generation });
    expect(document.status).toBe('completed');
    return document as Result;
  }

  async function see(document: Result): Promise<Sight> {
    const sight = await bench.client.sight(document.sight!);
    return sightSchema.parse(sight); // Strict on what is written.
  }

  it('is a picture of each frame, and its patches', async () => {
    const document = await ask(moving, 'What moves?', 8);
    expect(document.sight).toMatch(/^[0-9a-f]{64}$/);
    const sight = await see(document);
    expect(sight).toMatchObject({ version: 1, width: 96, height: 96 });
    expect(sight.frames.map(({ index, ptsSeconds }) => [index, ptsSeconds])).toEqual(
      document.frames.map(({ index, ptsSeconds }) => [index, ptsSeconds]),
    );
    const sum = (of: (frame: Sight['frames'][number]) => number) =>
      sight.frames.reduce((total, frame) => total + of(frame), 0);
    expect(sum(({ tokensAfter }) => tokensAfter)).toBe(document.tokens.after);
    expect(sum(({ tokensBefore }) => tokensBefore)).toBe(document.tokens.before);
    const kept = sum(
      ({ dominant, static: shared = [], contextual }) => dominant.length + shared.length + contextual.length,
    );
    // The CLS token of a frame came from no patch.
    expect(document.tokens.after - kept).toBeGreaterThanOrEqual(0);
    expect(document.tokens.after - kept).toBeLessThanOrEqual(8);
    for (const { grid, dominant, contextual } of sight.frames)
      for (const patch of [...dominant, ...contextual.flat()])
        expect(patch).toBeLessThan(grid.rows * grid.columns);
    expect(await client.ttl(keys().sight(document.sight!))).toBeGreaterThan(86_000);
  }, 30_000);

  it('shows what plain ffmpeg decodes at that time', async () => {
    const { frames, width, height } = await see(await ask(moving, 'What moves?', 8));
    const [first] = await plainFrames(moving, 320 * 240 * 3);
    const expected = await sharp(first!, { raw: { width: 320, height: 240, channels: 3 } })
      .resize(width, height, { fit: 'cover' })
      .raw()
      .toBuffer();
    const picture = Buffer.from(frames[0]!.picture!, 'base64');
    expect(await sharp(picture).metadata()).toMatchObject({ format: 'webp', width, height });
    const pixels = await sharp(picture).removeAlpha().raw().toBuffer();
    const difference =
      pixels.reduce((sum, value, i) => sum + Math.abs(value - expected[i]!), 0) / pixels.length;
    expect(difference).toBeLessThan(12);
    expect(new Set(frames.map(({ picture }) => picture)).size).toBe(8);
  }, 30_000);

  it('is the same for another question, and is kept for as long again', async () => {
    const before = await ask(moving, 'What moves?', 8);
    expect(before).toMatchObject({ cached: true, sight: expect.any(String) });
    const sight = await see(before);
    await client.expire(keys().sight(before.sight!), 100);
    const after = await ask(moving, 'What else moves?', 8);
    expect(after).toMatchObject({ reused: 'prefix', sight: before.sight });
    expect(await see(after)).toEqual(sight);
    expect(await client.ttl(keys().sight(before.sight!))).toBeGreaterThan(86_000);
  }, 30_000);

  it('comes back without pictures where it was lost and nothing is decoded again', async () => {
    const before = await ask(moving, 'What moves?', 8);
    const sight = await see(before);
    await client.del(keys().sight(before.sight!));
    expect(await bench.client.sight(before.sight!)).toBeNull();
    const after = await ask(moving, 'What stands still?', 8);
    expect(after).toMatchObject({ reused: 'prefix', sight: before.sight });
    const frames = sight.frames.map((frame) => ({ ...frame, picture: null }));
    expect((await see(after)).frames).toEqual(frames);
  }, 30_000);

  it('has one picture of what is shown twice', async () => {
    const document = await ask(still, 'Which colour?', 4);
    const { frames } = await see(document);
    expect(frames.map(({ sameAs, picture }) => [sameAs, picture !== null])).toEqual([
      [undefined, true],
      [0, false],
      [undefined, true],
      [2, false],
    ]);
    expect(document.frames.map(({ sameAs }) => sameAs)).toEqual([undefined, 0, undefined, 2]);
    expect(frames[1]).toMatchObject({ dominant: [], contextual: [], tokensAfter: 0 });
  }, 30_000);

  it('has 64 pictures of a longer video, evenly spread, and the patches of all frames', async () => {
    const { frames } = await see(await ask(moving, 'What moves?', 96));
    expect(frames).toHaveLength(96);
    const shown = frames.filter(({ picture }) => picture !== null).map(({ index }) => index);
    expect([shown.length, shown[0], shown.at(-1)]).toEqual([64, 0, 95]);
    const gaps = shown.slice(1).map((index, i) => index - shown[i]!);
    expect(new Set(gaps)).toEqual(new Set([1, 2]));
    expect(frames.filter(({ dominant, tokensAfter }) => dominant.length === 0 && tokensAfter > 1)).toEqual(
      [],
    );
  }, 60_000);

  it('is in the summary that BullMQ keeps, with what a list of jobs shows', async () => {
    const document = await ask(moving, 'What moves?', 8);
    const { queue: name, prefix } = bench.settings;
    const queue = new Queue(name, { prefix, connection: patientOptions(redis.connection) });
    // BullMQ notes that the job is completed after its document is written.
    await until(async () => (await queue.getJobState(document.id)) === 'completed');
    const { returnvalue } = (await queue.getJob(document.id))!;
    await queue.close();
    const { spans: _, ...timings } = document.timings;
    expect(summarySchema.parse(returnvalue)).toEqual({
      ...{ cached: true, count: 1, frames: 8, tokens: document.tokens, reused: 'none' },
      ...{ answers: [document.answers[0]!.answer], sight: document.sight, durationSeconds: 5 },
      likelihoods: [Math.round(document.answers[0]!.likelihood! * 1000) / 1000],
      timings: Object.fromEntries(
        Object.entries(timings).map(([key, ms]) => [key, Math.round(ms * 10) / 10]),
      ),
    });
    expect(JSON.stringify(returnvalue).length).toBeLessThan(700);
  }, 30_000);

  it('is not made where nothing is to be kept', async () => {
    const prefix = freshQueue();
    const sights = { seconds: 60, limitBytes: 0 };
    const other = new Bench(redis.home, redis.connection, { ...bench.settings, prefix, sights });
    const closed = await startWorker(other.settings, pino({ level: 'silent' }));
    try {
      const document = await other.client.askAndWait({ video: moving, questions: 'What moves?' });
      expect(document).toMatchObject({ status: 'completed' });
      expect(document).not.toHaveProperty('sight');
      expect(await client.keys(`${prefix}:sight:*`)).toEqual([]);
    } finally {
      await closed.close();
      await other.close();
    }
  }, 30_000);
});

describe('the store of what was seen', () => {
  const name = (digit: string) => digit.repeat(64);
  const tokens = {
    ...{ tokensBefore: 4, framesTogether: 1, grid: { rows: 2, columns: 2 }, blocks: [] },
    frames: [{ index: 0, ptsSeconds: 0, tokens: 0 }],
  };
  const sight = describeSight(tokens, { cls: true, grid: { rows: 2, columns: 2 } }, new Map());
  /** So many bytes packed, roughly: noise cannot be made smaller. */
  const packed = (kib: number) => {
    const noise = randomBytes(kib * 1024).toString('base64');
    return gzipSync(JSON.stringify({ ...sight, noise })).toString('base64');
  };

  function open(limitKib: number, seconds = 60) {
    const keys = keysOf(freshQueue(), 'ask');
    const client = hastyClient(redis.connection) as Redis;
    const settings = { seconds, limitBytes: limitKib * 1024 };
    const store = new SightStore({ redis: client, address: 'here', keys, settings });
    const write = (digit: string, kib: number, isNew = true) =>
      store.write({ name: name(digit), content: packed(kib), isNew });
    const kept = async () => {
      const all = await client.zrange(keys.sightIndex, '0', '-1');
      for (const one of all) expect(await client.exists(keys.sight(one))).toBe(1);
      const sizes = await client.hgetall(keys.sightSizes);
      const { total = '0', ...own } = sizes;
      expect(Object.values(own).reduce((sum, bytes) => sum + Number(bytes), 0)).toBe(Number(total));
      return all.map((one) => one[0]).join('');
    };
    return { keys, client, store, write, kept };
  }

  it('lets go what was not asked about for longest', async () => {
    const { client, store, write, kept } = open(100);
    for (const digit of ['1', '2', '3']) await write(digit, 25);
    expect(await kept()).toBe('123');
    await store.touch(name('1'));
    await write('4', 25);
    expect(await kept()).toBe('314');
    await write('5', 85);
    expect(await kept()).toBe('5');
    await write('6', 120); // More than all of it.
    expect(await kept()).toBe('5');
    client.disconnect();
  });

  it('keeps one with pictures from one without, and takes a newer one', async () => {
    const { keys, client, write } = open(100);
    await write('1', 10);
    const first = await client.getBuffer(keys.sight(name('1')));
    await write('1', 10, false);
    expect(await client.getBuffer(keys.sight(name('1')))).toEqual(first);
    await write('1', 10);
    expect(await client.getBuffer(keys.sight(name('1')))).not.toEqual(first);
    await write('2', 10, false);
    expect(await readSight(client, keys, name('2'))).toMatchObject(sight);
    client.disconnect();
  });

  it('forgets what has expired', async () => {
    const { keys, client, write, kept } = open(100, 1);
    await write('1', 60);
    await client.del(keys.sight(name('1')));
    await client.zadd(keys.sightIndex, '1', name('1')); // As if its second was over.
    await write('2', 60);
    expect(await kept()).toBe('2');
    expect(await client.ttl(keys.sightIndex)).toBeGreaterThan(0);
    expect(await client.ttl(keys.sightSizes)).toBeGreaterThan(0);
    client.disconnect();
  });

  it('does without a Redis that is away', async () => {
    const client = hastyClient({ path: join(redis.home, 'nowhere') });
    const keys = keysOf(freshQueue(), 'ask');
    const settings = { seconds: 60, limitBytes: 2 ** 20 };
    const store = new SightStore({ redis: client, address: 'nowhere', keys, settings });
    await expect(store.write({ name: name('1'), content: packed(1), isNew: true })).resolves.toBeUndefined();
    await expect(store.touch(name('1'))).resolves.toBe(false);
    client.disconnect();
  });

  it('keeps no job waiting for a Redis that is silent', async () => {
    const path = join(redis.home, 'silent');
    const server = createServer(() => {}).listen(path);
    const client = hastyClient({ path });
    const settings = { seconds: 60, limitBytes: 2 ** 20 };
    const store = new SightStore({ redis: client, address: path, keys: keysOf('a', 'ask'), settings });
    const write = store.write({ name: name('1'), content: packed(1), isNew: true });
    await Promise.all([write, store.touch(name('2'))]);
    client.disconnect();
    server.close();
  }, 3_000); // The client itself gives up after five seconds.

  it('says what it does not have any more', async () => {
    const { client, store, write } = open(100);
    await write('1', 10);
    expect([await store.touch(name('1')), await store.touch(name('2'))]).toEqual([false, true]);
    client.disconnect();
  });

  it('is not described again for each question about a video that was encoded before', async () => {
    const vision = { cls: true, grid: tokens.grid, show: () => Promise.reject(new Error('no frames')) };
    const told: PackedSight[] = [];
    const asked: string[] = [];
    const maker = new SightMaker(vision, {
      tell: (one) => void told.push(one),
      isWanted: async (one) => asked.push(one) === 2,
    });
    const video = { ...tokens, H: 8, durationSeconds: 1, isStill: false, inCrops: false };
    const whole = { ...video, vectors: { D: 0, values: new Float32Array(0) } };
    for (const [digit, reused] of [
      ['1', 'none'],
      ['2', 'prefix'],
      ['3', 'tokens'],
    ] as const) {
      maker.onVideo(name(digit), whole, reused);
      await maker.end();
    }
    expect(asked).toEqual([name('2'), name('3')]);
    expect(told.map((one) => [one.name, one.isNew])).toEqual([
      [name('1'), true],
      [name('3'), false],
    ]);
  });

  it('is read with what a later version added, and not where it is damaged', async () => {
    const later = { ...sight, colours: 3, frames: [{ ...sight.frames[0], mood: 'calm' }] };
    expect(await unpackSight(gzipSync(JSON.stringify(later)))).toMatchObject({
      colours: 3,
    });
    for (const bytes of [
      Buffer.from('no'),
      gzipSync('{'),
      gzipSync('{}'),
      gzipSync(JSON.stringify(sight)).subarray(0, 40),
    ])
      expect(await unpackSight(bytes)).toBeNull();
  });
});
