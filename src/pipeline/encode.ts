import type { Frame } from '../media/types.js';
import { framesAtOnce } from '../models/batch.js';
import type { EncodedFrame, Model, PreparedFrame } from '../models/types.js';
import type { StageClock } from './timings.js';

/** A frame, or a crop of it, beside what the tower reads. */
interface Input {
  readonly frame: Frame;
  readonly prepared: PreparedFrame;
  /** Whether it is the last of its frame. */
  readonly isLast: boolean;
}

/** A frame beside what the tower made of it: of a picture in crops the whole first, else one. */
export interface EncodedPair {
  readonly frame: Frame;
  readonly encoded: readonly EncodedFrame[];
}

export interface EncodeOptions {
  readonly clock: StageClock;
  readonly signal?: AbortSignal;
  /** Whether a picture is looked at in crops, as models do that have them. */
  readonly inCrops?: boolean;
}

type EncodeModel = Pick<Model, 'onnxMs'> & {
  readonly vision: Pick<Model['vision'], 'prepare' | 'encode' | 'crops'>;
};

/**
 * Prepares and encodes frames in batches, in order. While a batch is in the tower the decoder works on
 * the next one; at most two batches of frames are held, however long the clip.
 */
export async function* encodeFrames(
  model: EncodeModel,
  frames: AsyncIterable<Frame>,
  options: EncodeOptions,
): AsyncGenerator<EncodedPair> {
  const { clock, signal } = options;
  let crops: EncodedFrame[] = [];
  for await (const batch of batches(readAhead(prepare(model, frames, options), framesAtOnce), framesAtOnce)) {
    signal?.throwIfAborted();
    const encoded = await clock.measure('encodeMs', () =>
      model.vision.encode(batch.map(({ prepared }) => prepared)),
    );
    for (const [i, { frame, isLast }] of batch.entries()) {
      crops.push(encoded[i]!);
      if (!isLast) continue;
      yield { frame, encoded: crops };
      crops = [];
    }
  }
}

/**
 * Decode and prepare, one frame after the other. ONNX Runtime blocks the thread while it works, so its time
 * is taken off what was waited here.
 */
async function* prepare(
  { vision, onnxMs }: EncodeModel,
  frames: AsyncIterable<Frame>,
  { clock, inCrops }: EncodeOptions,
): AsyncGenerator<Input> {
  let waitedSince = performance.now() - onnxMs();
  for await (const frame of frames) {
    const decoded = performance.now() - onnxMs();
    clock.add('decodeMs', decoded - waitedSince);
    const inputs = inCrops ? await vision.crops!.preprocess(frame) : [await vision.prepare(frame)];
    clock.add('preprocessMs', performance.now() - onnxMs() - decoded);
    for (const [i, prepared] of inputs.entries()) {
      yield { frame, prepared, isLast: i === inputs.length - 1 };
    }
    waitedSince = performance.now() - onnxMs();
  }
  clock.add('decodeMs', performance.now() - onnxMs() - waitedSince);
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
