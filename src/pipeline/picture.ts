import type { Frame } from '../media/types.js';
import { framesAtOnce } from '../models/batch.js';
import { NEWLINE } from '../models/newline.js';
import type { EncodedFrame, Model, PreparedFrame } from '../models/types.js';
import { compressFrame, keepAll } from './compress.js';
import { orderOfAll, orderOfKept } from './crop-order.js';
import type { StageClock } from './timings.js';
import type { CompressedFrame, Plan, VisualTokens } from './types.js';

/** A picture's tokens, and what was kept of it as a whole. */
export interface EncodedPicture {
  readonly visual: VisualTokens;
  readonly whole: CompressedFrame;
}

/** Preprocess, encode, compress and project a still picture in several crops, each with the plan's budget. */
export async function encodePicture(
  model: Model,
  picture: Frame,
  { budget }: Plan,
  clock: StageClock,
  signal?: AbortSignal,
): Promise<EncodedPicture> {
  const { cls, grid: patches } = model.tower;
  const { gridOf, preprocess } = model.crops!;
  const crops = gridOf(picture.width, picture.height);
  const prepared = await clock.measure('preprocessMs', () => preprocess(picture));
  const encoded = await clock.measure('encodeMs', () => encodeCrops(model, prepared, signal));
  const kept = await clock.measure('compressMs', () =>
    encoded.map((crop) => (budget ? compressFrame(crop, budget) : keepAll(crop))),
  );
  const order = budget
    ? orderOfKept(kept, crops, patches, cls)
    : orderOfAll(crops, patches, picture, model.newline !== undefined);
  const embeds = await clock.measure('projectMs', () => project(model, kept, order, budget !== null));
  const { index, ptsSeconds } = picture;
  const H = model.decoderWidth;
  return { visual: { index, ptsSeconds, T: embeds.length / H, H, embeds }, whole: kept[0]! };
}

async function encodeCrops(
  model: Pick<Model, 'encode'>,
  crops: readonly PreparedFrame[],
  signal: AbortSignal | undefined,
): Promise<EncodedFrame[]> {
  const encoded: EncodedFrame[] = [];
  for (let i = 0; i < crops.length; i += framesAtOnce) {
    signal?.throwIfAborted();
    encoded.push(...(await model.encode(crops.slice(i, i + framesAtOnce))));
  }
  return encoded;
}

/** The crops' tokens (T, D), projected and in order: (T, H) with newlines where the model has one. */
async function project(
  model: Model,
  kept: readonly CompressedFrame[],
  order: readonly number[],
  compressed: boolean,
): Promise<Float32Array> {
  const [{ T, D }] = kept as [CompressedFrame];
  const H = model.decoderWidth;
  const tokens = new Float32Array(kept.length * T * D);
  kept.forEach((crop, i) => {
    tokens.set(crop.tokens, i * T * D);
  });
  const projected = await model.project(tokens, kept.length * T, compressed);
  const newline = order.includes(NEWLINE) ? await model.embed([NEWLINE]) : projected;
  const embeds = new Float32Array(order.length * H);
  order.forEach((token, place) => {
    const row = token === NEWLINE ? newline : projected.subarray(token * H, (token + 1) * H);
    embeds.set(row, place * H);
  });
  return embeds;
}
