import type { Frame } from '../media/types.js';
import { framesAtOnce } from '../models/batch.js';
import type { Grid } from '../models/pool.js';
import type { EncodedFrame, Model, PreparedFrame } from '../models/types.js';
import type { StageClock } from './timings.js';

/** A frame, or a crop of it, beside what the tower reads. */
interface Input extends FrameGroup {
  readonly prepared: PreparedFrame;
  /** Whether it is the last of its frame. */
  readonly isLast: boolean;
}

/** A frame, with those behind it that the tower takes together with it; or a crop of a picture. */
export interface FrameGroup {
  readonly frame: Frame;
  readonly companions?: readonly Frame[];
  /** Which crop, from 1, where crops stand in the prompt each by itself. */
  readonly crop?: number;
}

/** A frame beside what the tower made of it: its crops, where it was cut into such, else one. */
export interface EncodedPair extends FrameGroup {
  readonly encoded: readonly EncodedFrame[];
}

export interface EncodeOptions {
  readonly clock: StageClock;
  readonly signal?: AbortSignal;
  /** Whether a picture is looked at in crops, as models do that have them. */
  readonly inCrops?: boolean;
  readonly isStill?: boolean;
  /** Tokens that a group of frames becomes, where that depends on the video. */
  readonly grid?: Grid;
}

type EncodeModel = Pick<Model, 'onnxMs'> & {
  readonly vision: Pick<Model['vision'], 'prepare' | 'encode' | 'crops' | 'native'>;
};

/**
 * Prepares and encodes frames in batches, in order. While a batch is in the tower the decoder works on
 * the next one; at most two batches of frames are held, however long the clip.
 */
export async function* encodeFrames(
  model: EncodeModel,
  groups: AsyncIterable<readonly Frame[]>,
  options: EncodeOptions,
): AsyncGenerator<EncodedPair> {
  const { clock, signal } = options;
  let crops: EncodedFrame[] = [];
  const inputs = readAhead(prepare(model, groups, options), framesAtOnce);
  for await (const batch of batches(inputs, framesAtOnce)) {
    signal?.throwIfAborted();
    const encoded = await clock.measure('encodeMs', () =>
      model.vision.encode(batch.map(({ prepared }) => prepared)),
    );
    for (const [i, { prepared: _, isLast, ...group }] of batch.entries()) {
      crops.push(encoded[i]!);
      if (!isLast) continue;
      yield { ...group, encoded: crops };
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
  groups: AsyncIterable<readonly Frame[]>,
  options: EncodeOptions,
): AsyncGenerator<Input> {
  const { clock, inCrops } = options;
  let waitedSince = performance.now() - onnxMs();
  for await (const group of groups) {
    const [frame, ...companions] = group as [Frame, ...Frame[]];
    const decoded = performance.now() - onnxMs();
    clock.add('decodeMs', decoded - waitedSince);
    const inputs = await inputsOf(vision, group, options);
    clock.add('preprocessMs', performance.now() - onnxMs() - decoded);
    const apart = inCrops && vision.crops!.apart;
    for (const [i, prepared] of inputs.entries()) {
      const isLast = i === inputs.length - 1;
      const crop = apart && !isLast ? { crop: i + 1 } : {};
      yield { frame, companions, ...crop, prepared, isLast: apart || isLast };
    }
    waitedSince = performance.now() - onnxMs();
  }
  clock.add('decodeMs', performance.now() - onnxMs() - waitedSince);
}

/** What the tower reads of a group of frames: one, or a picture's crops. */
async function inputsOf(
  vision: EncodeModel['vision'],
  group: readonly Frame[],
  { inCrops, isStill = false, grid }: EncodeOptions,
): Promise<PreparedFrame[]> {
  if (inCrops) return vision.crops!.preprocess(group[0]!);
  if (vision.native) return [await vision.native.prepare(group, grid!, isStill)];
  return [await vision.prepare(group[0]!)];
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

export async function* batches<T>(items: AsyncIterable<T>, size: number): AsyncGenerator<T[]> {
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
