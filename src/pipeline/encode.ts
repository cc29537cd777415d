import type { Frame } from '../media/types.js';
import { framesAtOnce } from '../models/batch.js';
import type { EncodedFrame, Model, PreparedFrame } from '../models/types.js';
import type { StageClock } from './timings.js';

interface Pair {
  readonly frame: Frame;
  readonly prepared: PreparedFrame;
}

/** A frame beside what the tower made of it. */
export interface EncodedPair {
  readonly frame: Frame;
  readonly encoded: EncodedFrame;
}

/**
 * Preprocesses and encodes frames in batches, in order. While a batch is in the tower the decoder works on
 * the next one; at most two batches of frames are held, however long the clip.
 */
export async function* encodeFrames(
  model: Pick<Model, 'preprocess' | 'encode' | 'onnxMs'>,
  frames: AsyncIterable<Frame>,
  clock: StageClock,
  signal?: AbortSignal,
): AsyncGenerator<EncodedPair> {
  for await (const batch of batches(readAhead(prepare(model, frames, clock), framesAtOnce), framesAtOnce)) {
    signal?.throwIfAborted();
    const encoded = await clock.measure('encodeMs', () =>
      model.encode(batch.map(({ prepared }) => prepared)),
    );
    for (const [i, { frame }] of batch.entries()) yield { frame, encoded: encoded[i]! };
  }
}

/**
 * Decode and preprocess, one frame after the other. ONNX Runtime blocks the thread while it works, so its time
 * is taken off what was waited here.
 */
async function* prepare(
  model: Pick<Model, 'preprocess' | 'onnxMs'>,
  frames: AsyncIterable<Frame>,
  clock: StageClock,
): AsyncGenerator<Pair> {
  let waitedSince = performance.now() - model.onnxMs();
  for await (const frame of frames) {
    const decoded = performance.now() - model.onnxMs();
    clock.add('decodeMs', decoded - waitedSince);
    const prepared = await model.preprocess(frame);
    clock.add('preprocessMs', performance.now() - model.onnxMs() - decoded);
    yield { frame, prepared };
    waitedSince = performance.now() - model.onnxMs();
  }
  clock.add('decodeMs', performance.now() - model.onnxMs() - waitedSince);
}

/** Asks for up to `capacity` items before they are wanted. */
async function* readAhead<T>(items: AsyncGenerator<T>, capacity: number): AsyncGenerator<T> {
  const asked: Promise<IteratorResult<T>>[] = [];
  try {
    for (;;) {
      while (asked.length < capacity) {
        const next = items.next();
        // A fault is thrown where its item is awaited; the ones behind it must not count as unhandled.
        next.catch(() => {});
        asked.push(next);
      }
      const result = await asked.shift()!;
      if (result.done) return;
      yield result.value;
    }
  } finally {
    await items.return(undefined);
  }
}

async function* batches<T>(items: AsyncIterable<T>, size: number): AsyncGenerator<T[]> {
  let batch: T[] = [];
  for await (const item of items) {
    batch.push(item);
    if (batch.length === size) {
      yield batch;
      batch = [];
    }
  }
  if (batch.length > 0) yield batch;
}
