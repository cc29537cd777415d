import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { QueueClient } from '../queues/index.js';
import { keysOf } from '../queues/options.js';
import { readCounts, readVideos } from '../queues/videos.js';
import type { UsedVideo } from '../src/pipeline/types.js';
import { ffmpeg, h264, testPattern } from './media.js';
import { documentOf, startCli } from './support/cli.js';
import { cliHere } from './support/cli-here.js';
import { freshQueue, useRedis } from './support/redis.js';
import { until } from './support/script.js';
import { Bench } from './support/worker.js';

const redis = useRedis();
let client: Redis;

beforeAll(() => {
  client = new Redis(redis.socket);
});
afterAll(() => client.disconnect());

describe('what a worker says of the encoded videos that it keeps', () => {
  let bench: Bench;

  beforeEach(() => {
    bench = new Bench(redis.home, redis.connection);
  });
  afterEach(() => bench.close());

  const keys = () => keysOf(bench.settings.prefix, bench.settings.queue);
  const name = 'a'.repeat(64);
  const used = (reused: UsedVideo['reused'], bytes?: number): UsedVideo => ({
    ...{ name, reused, durationSeconds: 2.5, frames: 8, tokens: { before: 1152, after: 120 } },
    ...(bytes !== undefined && { bytes }),
  });

  async function answer(video: string, question: string): Promise<string> {
    const document = await bench.client.wait(await bench.client.ask({ video, questions: question }));
    return document.status;
  }

  it('is there from when it is written, and counts how often it is used', async () => {
    const video = bench.video(
      'a.mp4',
      { text: 'red', used: [used('none', 4000)] },
      { text: 'red', used: [used('tokens', 4000)] },
      { text: 'red', used: [used('prefix')] },
    );
    await bench.worker();
    await answer(video, 'one?');
    await until(async () => (await readVideos(client, keys())).length === 1);
    const [first] = await readVideos(client, keys());
    expect(first).toMatchObject({
      ...{
        name,
        video,
        model: 'nano',
        durationSeconds: 2.5,
        frames: 8,
        tokensBefore: 1152,
        tokensAfter: 120,
      },
      ...{ bytes: 4000, hits: 0, host: hostname(), worker: `${hostname()}-${process.pid}` },
      dir: bench.settings.tokenStore.dir,
      videoDigest: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    expect(first!.writtenAt).toBe(first!.usedAt);
    await answer(video, 'two?');
    await answer(video, 'three?');
    await answer(video, 'three?');
    const counts = { prefixHits: 1, prefixMisses: 2, storeHits: 1, storeMisses: 1 };
    await until(async () => (await readCounts(client, keys())).prefixHits === 1);
    await until(async () => (await readVideos(client, keys()))[0]!.hits === 2);
    expect(await readCounts(client, keys())).toEqual({ answerHits: 1, answerMisses: 3, ...counts });
    const [last] = await readVideos(client, keys());
    expect(last).toMatchObject({ ...first, hits: 2, usedAt: last!.usedAt });
    expect(last!.usedAt > first!.usedAt).toBe(true);
  });

  it('is gone after the retention, from the list, too', async () => {
    await client.zadd(keys().videos, Date.now() - 1000 * bench.settings.retentionSeconds - 1000, 'old');
    await client.hset(keys().video('other'), { nothing: 'that can be read' });
    await client.zadd(keys().videos, Date.now(), 'other');
    await bench.worker();
    await answer(bench.video('a.mp4', { text: 'red', used: [used('none', 4000)] }), 'one?');
    await until(async () => (await client.zscore(keys().videos, name)) !== null);
    expect(await client.zrange(keys().videos, '0', '-1')).toEqual(['other', name]);
    for (const key of [keys().video(name), keys().videos, keys().counts]) {
      expect(await client.ttl(key)).toBeGreaterThan(bench.settings.retentionSeconds - 60);
    }
    expect((await readVideos(client, keys())).map((one) => one.name)).toEqual([name]);
  });

  it('is nothing of what is in memory alone, or was not kept', async () => {
    const video = bench.video(
      'a.mp4',
      { text: 'red', used: [used('none')] },
      { text: 'red', used: [used('prefix')] },
    );
    const worker = await bench.worker();
    await answer(video, 'one?');
    await answer(video, 'two?');
    await worker.close();
    expect(await readVideos(client, keys())).toEqual([]);
    expect(await readCounts(client, keys())).toMatchObject({
      prefixHits: 1,
      prefixMisses: 1,
      storeMisses: 1,
    });
  });

  it('never fails a job', async () => {
    await client.set(keys().videos, 'no list');
    await client.set(keys().counts, 'no counts');
    const video = bench.video('a.mp4', { text: 'red', used: [used('none', 4000)] });
    const worker = await bench.worker();
    expect(await answer(video, 'one?')).toBe('completed');
    await worker.close();
    expect(bench.log.filter(({ msg }) => msg === 'trouble with Redis').map(({ reason }) => reason)).toEqual([
      expect.stringContaining('WRONGTYPE'),
    ]);
  });
});

describe('visionzip store', () => {
  const folder = mkdtempSync(join(tmpdir(), 'visionzip-cli-store-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('lists what a worker has kept, counts what was there already, and forgets what it removes', async () => {
    await ffmpeg(...testPattern(96, 96, 10, 1), ...h264(), join(folder, 'film.mp4'));
    const dir = join(folder, 'tokens');
    const env = {
      ...{ VISIONZIP_HOME: redis.home, VISIONZIP_PREFIX: freshQueue(), VISIONZIP_VIDEO_DIRS: folder },
      ...{ VISIONZIP_STORE_MIB: '8', VISIONZIP_STORE_DIR: dir },
    };
    const store = (...args: string[]) => cliHere(['store', ...args], env, folder);
    expect((await store('list')).stdout).toBe('no worker has told of a video yet\n');
    const worker = startCli(['worker'], env, folder);
    const client = new QueueClient({ connection: redis.connection, prefix: env.VISIONZIP_PREFIX });
    for (const questions of ['What colour?', 'What shape?', 'What colour?']) {
      const document = await client.askAndWait({ video: join(folder, 'film.mp4'), questions });
      expect(document.status).toBe('completed');
    }
    await client.close();
    worker.child.kill('SIGTERM');
    await worker.ended;
    const [one, ...others] = documentOf(await store('list', '--json')) as unknown as Record<
      string,
      unknown
    >[];
    expect(others).toEqual([]);
    expect(one).toMatchObject({ video: join(folder, 'film.mp4'), model: 'nano', hits: 1, dir });
    expect(one!.bytes).toBe(statSync(one!.file as string).size);
    expect((await store('list')).stdout).toMatch(/film\.mp4 │ nano {2}│ +8 │ 120 of 1152 │ 0\.\d │ +1 │ 20/);
    const status = documentOf(await store('status', '--json'));
    expect(status).toMatchObject({
      files: 2,
      counts: {
        ...{ answerHits: 1, answerMisses: 2, prefixHits: 1, prefixMisses: 1, storeHits: 0, storeMisses: 1 },
      },
    });
    expect((await store('status')).stdout).toContain('answers  1 of 3 were stored\nvideos   1 of 2 were');
    rmSync(one!.file as string);
    expect((await store('list')).stdout).toContain('removed');
    expect((await store('clear')).stdout).toMatch(/^removed 1 file/);
    expect(documentOf(await store('list', '--json'))).toEqual([]);
  });

  it('says how much is kept where Redis cannot be reached, and starts none', async () => {
    const env = { VISIONZIP_HOME: join(folder, 'home') };
    const { code, stdout } = await cliHere(['store', 'status'], env, folder);
    expect([code, stdout]).toEqual([0, expect.stringContaining('hits     unknown: Redis cannot be reached')]);
    expect(documentOf(await cliHere(['store', 'status', '--json'], env, folder)).counts).toBeNull();
    expect((await cliHere(['store', 'clear'], env, folder)).code).toBe(0);
    const away = { ...env, REDIS_URL: 'redis://127.0.0.1:1/' };
    expect((await cliHere(['store', 'list'], away, folder)).code).toBe(3);
  });
});
