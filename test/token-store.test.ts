import { createHash } from 'node:crypto';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  packFacts,
  packTokens,
  readFrameVectors,
  type StoredTokens,
  unpackFacts,
  unpackTokens,
  type VideoFacts,
} from '../src/pipeline/stored-video.js';
import { TokenStore } from '../src/sources/token-store.js';

const nameOf = (digit: string) => digit.repeat(64);

describe('an encoded video as bytes', () => {
  const stored = (values: number[]): StoredTokens => ({
    substituted: new Map([[1, 0.5]]),
    tokens: {
      ...{ H: 2, tokensBefore: 8, durationSeconds: 2, isStill: false, inCrops: false },
      ...{ grid: { rows: 2, columns: 2 }, framesTogether: 1 },
      vectors: { D: 3, values: Float32Array.of(1, 0, 0, 0, 0.5, -0.5) },
      frames: [
        { index: 0, ptsSeconds: 0, tokens: 2 },
        { index: 1, ptsSeconds: 1, tokens: 1 },
      ],
      blocks: [0, 1].map((first) => ({
        span: { first, last: first, startSeconds: first, endSeconds: first },
        ptsSeconds: first,
        T: 2 - first,
        embeds: Float32Array.from(values.slice(4 * first, 4 * first + 4 - 2 * first)),
        origins: [{ kind: 'dominant' as const, crop: 0, rows: [3] }],
      })),
    },
  });

  it('is the same again, in half precision where that has every number', () => {
    const half = packTokens(stored([1, 2, 3, 4, 0.5, -6]));
    const single = packTokens(stored([1, 2, 3, 4, 0.1, -6]));
    expect(unpackTokens(half)).toEqual(stored([1, 2, 3, 4, 0.5, -6]));
    expect(unpackTokens(single)).toEqual(stored([1, 2, 3, 4, 0.1, -6]));
    // Six numbers in two bytes or in four, and "single" in the place of "half".
    expect(single.length - half.length).toBe(6 * 2 + 2);
  });

  it('tells the vectors of its frames alone', () => {
    const { frames } = stored([]).tokens;
    for (const last of [0.5, 0.1]) {
      const read = readFrameVectors(packTokens(stored([1, 2, 3, 4, last, -6])))!;
      expect(read).toMatchObject({ frames, D: 3 });
      // The second was (0, 0.5, -0.5), and is of length 1 now.
      const values = [1, 0, 0, 0, 0.5 ** 0.5, -(0.5 ** 0.5)];
      expect([...read.values]).toEqual(values.map((value) => expect.closeTo(value, 6)));
    }
    expect(readFrameVectors(Buffer.from('no video'))).toBeNull();
  });

  it('is none where it was written before frames had vectors', () => {
    const bytes = packTokens(stored([1, 2, 3, 4, 5, 6]));
    const older = Buffer.concat([Buffer.from('VZT1'), bytes.subarray(4, -32)]);
    const digest = createHash('sha256').update(older).digest();
    expect(unpackTokens(Buffer.concat([older, digest]))).toBeNull();
  });

  it('is none where it was cut, changed, or is another thing', () => {
    const bytes = packTokens(stored([1, 2, 3, 4, 5, 6]));
    for (const length of [0, 7, 40, bytes.length - 1])
      expect(unpackTokens(bytes.slice(0, length))).toBeNull();
    for (const at of [0, 5, 20, bytes.length - 40, bytes.length - 1]) {
      const changed = bytes.slice();
      changed[at]! ^= 1;
      expect(unpackTokens(changed)).toBeNull();
    }
  });

  it('has what is known of the video beside it', () => {
    const facts: VideoFacts = {
      info: {
        ...{ path: '/clip.mp4', sizeBytes: 9, streamIndex: 0, codec: 'h264', container: 'mp4' },
        ...{ durationSeconds: 2, fps: 1.5, width: 4, height: 2, rotation: 0, isStill: false },
        warnings: [{ kind: 'joined', message: 'two parts' }],
      },
      ...{ ptsSeconds: Float64Array.of(0, 0.1, 1 / 3), displayedSeconds: 1, events: [2, 0] },
    };
    expect(unpackFacts(packFacts(facts))).toEqual(facts);
    expect(unpackTokens(packFacts(facts))).toBeNull();
    expect(unpackFacts(packTokens(stored([1, 2, 3, 4, 5, 6])))).toBeNull();
  });
});

describe('the store', () => {
  let dir: string;

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'visionzip-store-'));
  });

  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  it('keeps what it was given, for whoever shares the folder', async () => {
    await new TokenStore(join(dir, 'new'), 1000).write(nameOf('a'), Buffer.from('tokens'));
    const other = new TokenStore(join(dir, 'new'), 1000);
    expect(Buffer.from((await other.read(nameOf('a')))!).toString()).toBe('tokens');
    expect(await other.read(nameOf('b'))).toBeNull();
    expect(await other.status()).toMatchObject({ files: 1, bytes: 6, limitBytes: 1000 });
    await other.drop(nameOf('a'));
    expect(await other.read(nameOf('a'))).toBeNull();
  });

  it('lets the least recently used go', async () => {
    const store = new TokenStore(dir, 1000);
    for (const [i, digit] of ['a', 'b', 'c'].entries()) {
      await store.write(nameOf(digit), Buffer.alloc(300));
      const used = new Date(Date.now() - 60_000 + 1000 * i);
      utimesSync(join(dir, digit.repeat(2), nameOf(digit)), used, used);
    }
    await store.read(nameOf('a'));
    await store.write(nameOf('d'), Buffer.alloc(300));
    const there = await Promise.all(
      ['a', 'b', 'c', 'd'].map(async (one) => (await store.read(nameOf(one))) !== null),
    );
    expect(there).toEqual([true, false, true, true]);
    expect((await store.status()).bytes).toBe(900);
  });

  it('does not keep what would leave no room for others', async () => {
    const store = new TokenStore(dir, 1000);
    await store.write(nameOf('a'), Buffer.alloc(950));
    expect(await store.read(nameOf('a'))).toBeNull();
  });

  it('leaves nothing of what was being written when its process died, and clears what is its own alone', async () => {
    const store = new TokenStore(dir, 1000);
    mkdirSync(join(dir, 'aa'));
    const part = join(dir, 'aa', `${nameOf('a')}.0123456789ab.part`);
    writeFileSync(part, 'half of it');
    const long = new Date(Date.now() - 2 * 3_600_000);
    utimesSync(part, long, long);
    // What others keep in the same folder, some of it under names like its own.
    mkdirSync(join(dir, 'blobs'));
    const others = ['notes.txt', 'film.mp4.part', `blobs/${nameOf('c')}`, nameOf('d')].map((name) =>
      join(dir, name),
    );
    for (const path of others) {
      writeFileSync(path, 'mine');
      utimesSync(path, long, long);
    }
    await store.write(nameOf('b'), Buffer.from('b'));
    expect(await store.status()).toMatchObject({ files: 1, bytes: 1 });
    expect(readdirSync(join(dir, 'aa'))).toEqual([]);
    expect(await store.clear()).toEqual({ files: 1, bytes: 1 });
    expect(await store.status()).toMatchObject({ files: 0, bytes: 0, oldest: null });
    for (const path of others) expect(readFileSync(path, 'utf8')).toBe('mine');
  });

  it('does without a folder that cannot be written', async () => {
    writeFileSync(join(dir, 'file'), '');
    const store = new TokenStore(join(dir, 'file'), 1000);
    await store.write(nameOf('a'), Buffer.from('x'));
    expect(await store.read(nameOf('a'))).toBeNull();
    expect(await store.status()).toMatchObject({ files: 0 });
  });
});
