import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { Frame } from '../src/media/types.js';
import { framesAtOnce } from '../src/models/batch.js';
import type { Manifest } from '../src/models/manifest.js';
import type { Preprocessor } from '../src/models/preprocess.js';
import { Session, Tensor } from '../src/models/session.js';
import type { PreparedFrame } from '../src/models/types.js';
import { createVision } from '../src/models/vision.js';
import { batches, encodeFrames } from '../src/pipeline/encode.js';
import { StageClock } from '../src/pipeline/timings.js';
import { fakeModel } from './fake-model.js';

/** A clip that counts how many of its frames were asked for. */
function clip(frames: number) {
  const asked = { count: 0 };
  async function* decode(): AsyncGenerator<Frame> {
    for (let index = 0; index < frames; index++) {
      asked.count += 1;
      yield { index, ptsSeconds: index, width: 1, height: 1, rgb: new Uint8Array(3) };
    }
  }
  return { asked, decode };
}

/** Lets everything happen that needs no other event. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('frames on their way through the tower', () => {
  const frames = 10 * framesAtOnce;

  test('are never held in more than two batches, however long the clip', async () => {
    const { asked, decode } = clip(frames);
    let used = 0;
    let most = 0;
    for await (const _ of encodeFrames(fakeModel([]), batches(decode(), 1), { clock: new StageClock() })) {
      await settled();
      most = Math.max(most, asked.count - used);
      used += 1;
    }
    expect(used).toBe(frames);
    expect(most).toBeLessThanOrEqual(2 * framesAtOnce);
  });

  test('are decoded ahead while a batch is in the tower', async () => {
    const { asked, decode } = clip(frames);
    const whileEncoding: number[] = [];
    const fake = fakeModel([]);
    const encode = async (batch: readonly PreparedFrame[]) => {
      const before = batch.at(-1)!.index + 1;
      await settled();
      whileEncoding.push(asked.count - before);
      return fake.vision.encode(batch);
    };
    const model = { ...fake, vision: { ...fake.vision, encode } };
    for await (const _ of encodeFrames(model, batches(decode(), 1), { clock: new StageClock() }));
    // Behind the last batch there is nothing more to decode.
    expect(whileEncoding).toHaveLength(frames / framesAtOnce);
    expect(Math.min(...whileEncoding.slice(0, -1))).toBeGreaterThan(0);
  });
});

describe('a tower of int8, or of convolutions', () => {
  /** The batch sizes that the graph is run with. */
  async function batches(dtype: Manifest['dtype'], scores = 'attention'): Promise<number[]> {
    const seen: number[] = [];
    const run = async ({ pixel_values }: Record<string, Tensor>) => {
      const B = pixel_values!.dims[0]!;
      seen.push(B);
      return { hidden: new Tensor('float32', new Float32Array(B), [B, 1, 1]) };
    };
    const manifest = { order: 'compress-project', dtype, tower: { grid: { rows: 1, columns: 1 }, scores } };
    const vision = createVision(
      manifest as Manifest,
      { tower: { run } as unknown as Session, projector: undefined, projectorTuned: undefined },
      { preprocessor: { width: 1, height: 1 } as Preprocessor },
    );
    const prepared = [0, 1, 2].map((index) => ({
      index,
      ptsSeconds: index,
      pixelValues: new Float32Array(3),
    }));
    const encoded = await vision.encode(prepared);
    expect(encoded.map(({ index }) => index)).toEqual([0, 1, 2]);
    return seen;
  }

  test('sees each frame alone: it would scale over all that it is given', async () => {
    expect(await batches('int8')).toEqual([1, 1, 1]);
    expect(await batches('q8')).toEqual([1, 1, 1]);
    expect(await batches('fp32')).toEqual([3]);
    expect(await batches('fp32', 'similarity')).toEqual([1, 1, 1]);
  });
});

test('the event loop turns before each run, so that an abort is heard between two', async () => {
  const file = fileURLToPath(new URL('../models/nano/onnx/embed_tokens.onnx', import.meta.url));
  const session = await Session.load(file, 1, { inputs: ['input_ids'], outputs: ['inputs_embeds'] });
  for (let i = 0; i < 3; i++) {
    let heard = false;
    setImmediate(() => {
      heard = true;
    });
    await session.run({ input_ids: new Tensor('int64', BigInt64Array.of(1n), [1, 1]) });
    expect(heard).toBe(true);
  }
  await session.release();
});

test('a stage from which more was taken off than it took counts nothing', () => {
  const clock = new StageClock();
  clock.add('preprocessMs', 3);
  clock.add('preprocessMs', -5);
  clock.add('encodeMs', 2);
  expect(clock.record({ decodeSteps: 0, onnxMs: 0 })).toMatchObject({ preprocessMs: 0, encodeMs: 2 });
});
