import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadModel } from '../src/models/load.js';
import { shippedModel } from '../src/models/shipped.js';
import type { Model } from '../src/models/types.js';
import { VideoSession } from '../src/pipeline/answer.js';
import { poolFrame, vectorsOfAll } from '../src/pipeline/frame-vectors.js';
import { readFrameVectors, type StoredVectors } from '../src/pipeline/index.js';
import type { VideoStore } from '../src/pipeline/types.js';
import { ffmpeg, h264, testPattern } from './media.js';

describe('the vector of a frame', () => {
  it('is the mean of its patches, without CLS, of length 1', () => {
    // Patches (3, 0) and (3, 8): their mean is (3, 4), of length 5.
    const hidden = Float32Array.of(9, 9, 3, 0, 3, 8);
    const nearest = [0.6, 0.8].map((value) => expect.closeTo(value, 3));
    expect([...poolFrame({ D: 2, hidden }, true)]).toEqual(nearest);
    expect([...poolFrame({ D: 2, hidden: hidden.subarray(2) }, false)]).toEqual(nearest);
    expect([...poolFrame({ D: 2, hidden: new Float32Array(4) }, false)]).toEqual([0, 0]);
  });

  it('is that of the frame before where the tower did not see it by itself', () => {
    const pooled = new Map([
      [0, Float32Array.of(1, 0)],
      [3, Float32Array.of(0, 1)],
    ]);
    expect([...vectorsOfAll(5, pooled).values]).toEqual([1, 0, 1, 0, 1, 0, 0, 1, 0, 1]);
  });
});

describe('vectors of frames in the store, by the shipped model', () => {
  const folder = mkdtempSync(join(tmpdir(), 'visionzip-vectors-'));
  let model: Model;

  beforeAll(async () => {
    model = await loadModel(shippedModel, { threads: 1 });
    const patterns = testPattern(96, 96, 8, 2);
    const fractal = ['-f', 'lavfi', '-i', 'mandelbrot=size=96x96:rate=8'];
    const still = ['-f', 'lavfi', '-i', 'color=c=teal:size=96x96:rate=8:duration=2'];
    const scenes = [...patterns, ...['-t', '2', ...fractal], ...still];
    const joined = '[0:v]setsar=1[a];[1:v]setsar=1[b];[2:v]setsar=1[c];[a][b][c]concat=n=3';
    await ffmpeg(...scenes, '-filter_complex', joined, ...h264(), join(folder, 'three.mp4'));
    await ffmpeg(...patterns, ...h264(), join(folder, 'patterns.mp4'));
  });

  afterAll(async () => {
    rmSync(folder, { recursive: true, force: true });
    await model.release();
  });

  async function vectorsOf(name: string): Promise<StoredVectors> {
    const kept = new Map<string, Uint8Array>();
    const store: VideoStore = {
      read: async (file) => kept.get(file) ?? null,
      write: async (file, bytes) => kept.set(file, bytes).has(file),
      drop: async (file) => void kept.delete(file),
    };
    const request = { video: join(folder, name), sampling: { frames: 12, method: 'uniform' as const } };
    await new VideoSession(model, request, { videoKey: name, store }).ask([]);
    return [...kept.values()].map(readFrameVectors).find((vectors) => vectors !== null)!;
  }

  const cosine = (a: StoredVectors, i: number, b: StoredVectors, j: number): number => {
    let sum = 0;
    for (let d = 0; d < a.D; d++) sum += a.values[i * a.D + d]! * b.values[j * b.D + d]!;
    return sum;
  };

  it('are of length 1, and nearer to frames of the same scene than of any other', async () => {
    const three = await vectorsOf('three.mp4');
    expect(three.frames).toHaveLength(12);
    expect(three.values).toHaveLength(12 * three.D);
    const sceneOf = (i: number) => Math.floor(three.frames[i]!.ptsSeconds / 2);
    for (const i of three.frames.keys()) {
      expect(cosine(three, i, three, i)).toBeCloseTo(1, 6);
      const nearness = (same: boolean) =>
        [...three.frames.keys()]
          .filter((j) => j !== i && (sceneOf(j) === sceneOf(i)) === same)
          .map((j) => cosine(three, i, three, j));
      expect(Math.max(...nearness(true))).toBeGreaterThan(Math.max(...nearness(false)));
    }
  });

  it('are the same for frames that were not encoded since they show the same', async () => {
    const three = await vectorsOf('three.mp4');
    const still = three.frames.filter(({ ptsSeconds }) => ptsSeconds >= 4);
    expect(still.map(({ tokens }) => tokens > 0)).toEqual([true, false, false, false]);
    const rows = still.map(({ index }) => [...three.values.subarray(index * three.D, (index + 1) * three.D)]);
    expect(rows.slice(1)).toEqual([rows[0], rows[0], rows[0]]);
  });

  it('find a scene in another video', async () => {
    const [three, query] = [await vectorsOf('three.mp4'), await vectorsOf('patterns.mp4')];
    for (const i of query.frames.keys()) {
      const found = [...three.frames.keys()].sort(
        (a, b) => cosine(three, b, query, i) - cosine(three, a, query, i),
      );
      expect(found.slice(0, 4).sort()).toEqual([0, 1, 2, 3]);
    }
  });
});
