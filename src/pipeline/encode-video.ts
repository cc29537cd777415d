import { type DecodeOptions, decodeFrames } from '../media/decode.js';
import type { OpenedVideo } from '../media/open.js';
import type { Frame } from '../media/types.js';
import type { Model } from '../models/types.js';
import { dropDuplicates } from './duplicates.js';
import { encodeFrames } from './encode.js';
import type { StageClock } from './timings.js';
import { makeTokens } from './tokens.js';
import type { Allowance, SampledFrame, TokenBlock, VideoTokens } from './types.js';

export interface EncodeVideoOptions extends Omit<DecodeOptions, 'strategy'> {
  readonly clock: StageClock;
  /** Each frame with the tokens that were made of it, in order. */
  onFrame?(frame: Frame, block: TokenBlock): void | Promise<void>;
  /** A frame that the one before stands for, too; may be told ahead of its turn. */
  onDuplicate?(frame: Frame): void;
}

/**
 * The half of the way that no question changes: decode, leave out duplicates, prepare, encode, compress, project. Frames
 * stream; what is kept of them is all that grows with the video.
 *
 * @throws as `decodeFrames` and the model; the signal's reason.
 */
export async function encodeVideo(
  model: Pick<Model, 'vision' | 'language' | 'onnxMs'>,
  video: OpenedVideo,
  { indices, budget, tokensBefore, durationSeconds, inCrops, duplicates }: Allowance,
  { clock, onFrame, onDuplicate, ...options }: EncodeVideoOptions,
): Promise<VideoTokens> {
  const { signal } = options;
  const decoded = decodeFrames(video, indices, options);
  const dropped: Frame[] = [];
  const drop = (frame: Frame) => {
    dropped.push({ ...frame, rgb: new Uint8Array(0) });
    onDuplicate?.(frame);
  };
  const frames = duplicates === 'drop' ? dropDuplicates(decoded, drop) : decoded;
  const blocks: TokenBlock[] = [];
  for await (const pair of encodeFrames(model, frames, { clock, signal, inCrops })) {
    const block = await makeTokens(model, pair, budget, clock);
    blocks.push(block);
    await onFrame?.(pair.frame, block);
  }
  const { H } = model.language;
  return { H, tokensBefore, durationSeconds, inCrops, ...stretchSpans(blocks, dropped) };
}

/** A block stands for the frames behind it that were left out. */
function stretchSpans(
  blocks: readonly TokenBlock[],
  dropped: readonly Pick<Frame, 'index' | 'ptsSeconds'>[],
): Pick<VideoTokens, 'blocks' | 'frames'> {
  const frames: SampledFrame[] = [];
  const stretched = blocks.map((block, i) => {
    const { span, T } = block;
    const next = blocks[i + 1]?.span.first ?? Number.POSITIVE_INFINITY;
    const own = dropped.filter(({ index }) => index > span.first && index < next);
    frames.push({ index: span.first, ptsSeconds: span.startSeconds, tokens: T });
    for (const { index, ptsSeconds } of own) frames.push({ index, ptsSeconds, tokens: 0 });
    const last = own.at(-1);
    return last ? { ...block, span: { ...span, last: last.index, endSeconds: last.ptsSeconds } } : block;
  });
  return { blocks: stretched, frames };
}
