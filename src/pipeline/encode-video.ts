import { type DecodeOptions, decodeFrames } from '../media/decode.js';
import type { OpenedVideo } from '../media/open.js';
import type { Frame } from '../media/types.js';
import type { Model } from '../models/types.js';
import { encodeFrames } from './encode.js';
import type { StageClock } from './timings.js';
import { makeTokens } from './tokens.js';
import type { Allowance, TokenBlock, VideoTokens } from './types.js';

export interface EncodeVideoOptions extends Omit<DecodeOptions, 'strategy'> {
  readonly clock: StageClock;
  /** Each frame with the tokens that were made of it, in order. */
  onFrame?(frame: Frame, block: TokenBlock): void | Promise<void>;
}

/**
 * The half of the way that no question changes: decode, prepare, encode, compress, project. Frames stream; what is kept
 * of them is all that grows with the video.
 *
 * @throws as `decodeFrames` and the model; the signal's reason.
 */
export async function encodeVideo(
  model: Pick<Model, 'vision' | 'language' | 'onnxMs'>,
  video: OpenedVideo,
  { indices, budget, tokensBefore, durationSeconds, inCrops }: Allowance,
  { clock, onFrame, ...options }: EncodeVideoOptions,
): Promise<VideoTokens> {
  const frames = decodeFrames(video, indices, options);
  const blocks: TokenBlock[] = [];
  for await (const pair of encodeFrames(model, frames, { clock, signal: options.signal, inCrops })) {
    const block = await makeTokens(model, pair, budget, clock);
    blocks.push(block);
    await onFrame?.(pair.frame, block);
  }
  return { H: model.language.H, tokensBefore, blocks, durationSeconds, inCrops };
}
