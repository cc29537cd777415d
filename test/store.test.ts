import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { keysOf } from '../queues/options.js';
import { askJobSchema } from '../queues/schemas.js';
import type { AnswerOutcome } from '../src/pipeline/types.js';
import { FileDigests } from '../src/sources/digest.js';
import { Catalog } from '../src/workers/catalog.js';
import { AnswerStore, contentKey, isRepeatable } from '../src/workers/store.js';
import { freshQueue, useRedis } from './support/redis.js';
import { writeModel } from './support/worker.js';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'visionzip-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

describe('the content key', () => {
  const job = askJobSchema.parse({
    video: 'a.mp4',
    questions: 'what?',
    sampling: { frames: 4, startSeconds: 1 },
    generation: { temperature: 1, seed: 2 },
  });
  const model = { digest: 'm', dtype: 'fp32' };
  const parts = { videoDigest: 'v', model, provider: 'cpu' as const, question: 'what?', job };

  it('does not depend on the order of fields, nor on where the video lies', () => {
    const reordered = {
      ...job,
      video: 'b.mp4',
      sampling: { startSeconds: 1, frames: 4 },
      generation: { seed: 2, temperature: 1 },
    };
    expect(JSON.stringify(reordered.sampling)).not.toBe(JSON.stringify(job.sampling));
    expect(contentKey({ ...parts, job: reordered })).toBe(contentKey(parts));
    expect(contentKey(parts)).toMatch(/^[0-9a-f]{64}$/);
  });

  it('is the same of no history and of an empty one', () => {
    expect(contentKey({ ...parts, job: { ...job, history: [] } })).toBe(contentKey(parts));
  });

  it('changes with everything that an answer depends on', () => {
    const keys = [
      parts,
      { ...parts, videoDigest: 'w' },
      { ...parts, provider: 'cuda' as const },
      { ...parts, question: 'what? ' },
      { ...parts, model: { digest: 'n', dtype: 'fp32' } },
      { ...parts, model: { digest: 'm', dtype: 'int8' } },
      { ...parts, job: { ...job, sampling: { frames: 5, startSeconds: 1 } } },
      { ...parts, job: { ...job, sampling: { frames: 4 } } },
      { ...parts, job: { ...job, compression: { dominant: 54, contextual: 10 } } },
      { ...parts, job: { ...job, generation: { temperature: 1, seed: 3 } } },
      { ...parts, job: { ...job, history: [{ question: 'who?', answer: 'me' }] } },
      { ...parts, job: { ...job, history: [{ question: 'who?', answer: 'you' }] } },
      { ...parts, job: { ...job, generation: { temperature: 1, seed: 2, defaults: 'model' as const } } },
    ].map(contentKey);
    expect(new Set(keys).size).toBe(keys.length);
  });

  it('is for answers that can be repeated alone', () => {
    expect([{}, { temperature: 0 }, { temperature: 1, seed: 0 }].map(isRepeatable)).toEqual([
      true,
      true,
      true,
    ]);
    expect(isRepeatable({ temperature: 0.1 })).toBe(false);
    // A model's own way of answering may be to sample.
    expect(isRepeatable({ defaults: 'model' })).toBe(false);
    expect(isRepeatable({ defaults: 'greedy' })).toBe(true);
    expect(
      [{ temperature: 0 }, { seed: 0 }].map((one) => isRepeatable({ defaults: 'model', ...one })),
    ).toEqual([true, true]);
  });
});

describe('the stored answers', () => {
  const server = useRedis();
  let redis: Redis;
  beforeAll(() => {
    redis = new Redis(server.socket);
  });
  afterAll(() => redis.disconnect());

  const stored = (answer: string) => ({
    answer: {
      ...{ question: 'what?', answer, finishReason: 'stop' as const, promptTokens: 1, newTokens: 1 },
      ...{ prefillMs: 1, generateMs: 1 },
    },
    run: {
      video: {
        ...{
          path: 'a.mp4',
          sizeBytes: 1,
          streamIndex: 0,
          codec: 'h264',
          container: 'mp4',
          durationSeconds: 1,
        },
        ...{ fps: 30, width: 2, height: 2, rotation: 0, isStill: false, warnings: [] },
      },
      plan: {
        ...{
          frames: 1,
          events: 0,
          crops: 1,
          tokensPerFrame: 1,
          framesTogether: 1,
          budget: null,
          tokensPerFrameBefore: 1,
          contextLength: 2048,
        },
        ...{ promptTokens: 1, maxNewTokens: 1, reason: 'scripted' },
      },
      tokens: { before: 1, after: 1 },
      frames: [{ index: 0, ptsSeconds: 0, tokens: 1 }],
    } satisfies Pick<AnswerOutcome, 'video' | 'plan' | 'tokens' | 'frames'>,
  });

  it('stay as they were first written, for the time that is configured', async () => {
    const keys = keysOf(freshQueue(), 'ask');
    const store = new AnswerStore(redis, keys, 100);
    expect(await store.writeOnce('key', stored('red'))).toEqual(stored('red'));
    expect(await store.writeOnce('key', stored('blue'))).toEqual(stored('red'));
    expect(await store.read(['none', 'key'])).toEqual([null, stored('red')]);
    expect(await store.read([])).toEqual([]);
    expect(await redis.ttl(keys.answer('key'))).toBeGreaterThan(90);
  });

  it('are read as workers wrote them that knew no crops', async () => {
    const keys = keysOf(freshQueue(), 'ask');
    const older = JSON.stringify(stored('red')).replace('"crops":1,', '');
    expect(older).not.toContain('crops');
    await redis.set(keys.answer('key'), older);
    expect(await new AnswerStore(redis, keys, 100).read(['key'])).toEqual([stored('red')]);
  });
});

describe("a file's digest", () => {
  it('follows the content, and is remembered while the file stays', async () => {
    const path = join(dir, 'a');
    const digests = new FileDigests();
    writeFileSync(path, 'one');
    const first = await digests.of(path, 10);
    expect(first).toBe('7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed'); // sha256sum
    expect(await digests.of(path, 10)).toBe(first);
    writeFileSync(path, 'two');
    utimesSync(path, 0, 0); // A tool that keeps times does not hide the change.
    expect(await digests.of(path, 10)).not.toBe(first);
  });

  it('is refused for what is no readable file, without waiting for a writer', async () => {
    const digests = new FileDigests();
    execFileSync('mkfifo', [join(dir, 'fifo')]);
    await expect(digests.of(join(dir, 'fifo'), 10)).rejects.toThrow('is a FIFO');
    await expect(digests.of(dir, 10)).rejects.toThrow('is a folder');
    await expect(digests.of(join(dir, 'none'), 10)).rejects.toThrow('none" does not exist');
    writeFileSync(join(dir, 'large'), 'x'.repeat(11));
    await expect(digests.of(join(dir, 'large'), 10)).rejects.toThrow('at most 10 bytes');
    await expect(digests.of(join(dir, 'large'), 11, AbortSignal.abort())).rejects.toThrow('aborted');
  });

  it('is not taken of gigabytes whose start is that of no video', async () => {
    const digests = new FileDigests();
    const path = join(dir, 'zeros.mp4');
    writeFileSync(path, '');
    truncateSync(path, 2 ** 40); // A hole: reading it would take minutes.
    await expect(digests.of(path, 2 ** 41)).rejects.toThrow(/found nothing but zeros at its start$/);
    writeFileSync(path, randomBytes(4096));
    truncateSync(path, 2 ** 40);
    await expect(digests.of(path, 2 ** 41)).rejects.toThrow(/found data that is none of these$/);
  });

  it.skipIf(process.getuid?.() === 0)('is refused for a file without permission', async () => {
    writeFileSync(join(dir, 'secret'), 'x');
    chmodSync(join(dir, 'secret'), 0);
    await expect(new FileDigests().of(join(dir, 'secret'), 10)).rejects.toThrow('permission denied');
  });
});

describe('the catalog of models', () => {
  it('finds a model in the first folder that has it, and sees that it changed', async () => {
    writeModel(join(dir, 'own/nano'));
    const catalog = new Catalog([join(dir, 'none'), join(dir, 'own')]);
    const model = await catalog.find('nano');
    expect(model).toMatchObject({ name: 'nano', dtype: 'fp32', dir: join(dir, 'own/nano') });
    expect(await catalog.find('nano')).toBe(model);
    writeFileSync(join(dir, 'own/nano/a'), 'other weights');
    expect((await catalog.find('nano')).digest).not.toBe(model.digest);
  });

  it('says which models there are, and which file is missing', async () => {
    writeModel(join(dir, 'nano'));
    mkdirSync(join(dir, 'empty'));
    const catalog = new Catalog([dir]);
    await expect(catalog.find('big')).rejects.toThrow(`below ${dir}, got "big"; there is empty, nano`);
    await expect(catalog.find('empty')).rejects.toThrow('visionzip.json');
  });
});
