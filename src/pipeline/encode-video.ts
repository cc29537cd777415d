import { type DecodeOptions, decodeFrames } from '../media/decode.js';
import type { OpenedVideo } from '../media/open.js';
import type { Frame } from '../media/types.js';
import type { Model } from '../models/types.js';
import { dropDuplicates } from './duplicates.js';
import { batches, type EncodedPair, encodeFrames } from './encode.js';
import { poolFrame, vectorsOfAll } from './frame-vectors.js';
import { roundToHalf } from './half.js';
import { framesTogether as compressedTogether } from './over-time/compress-frames.js';
import { looksAcross } from './over-time/stages.js';
import type { StageClock } from './timings.js';
import { makeTokensTogether } from './tokens.js';
import type { Allowance, Origin, SampledFrame, TokenBlock, VideoTokens } from './types.js';

export interface EncodeVideoOptions extends Omit<DecodeOptions, 'strategy'> {
  readonly clock: StageClock;
  /** Each frame with the tokens that were made of it, in order. */
  onFrame?(frame: Frame, block: TokenBlock): void | Promise<void>;
  /** Each frame that goes into the tower, before it does; the work waits for it. */
  onPicture?(frame: Frame): void | Promise<void>;
  /** A frame that an earlier one's tokens stand for, too; may be told ahead of its turn. */
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
  { indices, budget, overTime, ...allowance }: Allowance,
  { clock, onFrame, onPicture, onDuplicate, ...options }: EncodeVideoOptions,
): Promise<VideoTokens> {
  const { signal } = options;
  const { tokensBefore, durationSeconds, isStill, inCrops, cropGrid, grid } = allowance;
  const { framesTogether = 1 } = model.vision.native ?? {};
  const decoded = batches(decodeFrames(video, indices, options), framesTogether);
  const dropped: SampledFrame[] = [];
  const drop = (frame: Frame, sameAs: number) => {
    dropped.push({ index: frame.index, ptsSeconds: frame.ptsSeconds, tokens: 0, sameAs });
    onDuplicate?.(frame);
  };
  const groups = overTime.duplicates === 'drop' ? dropDuplicates(decoded, drop) : decoded;
  const pairs = encodeFrames(model, onPicture ? shownTo(groups, onPicture) : groups, {
    clock,
    signal,
    inCrops,
    isStill,
    grid,
  });
  const together = budget && !inCrops && looksAcross(overTime) ? compressedTogether : 1;
  const blocks: TokenBlock[] = [];
  const companions: SampledFrame[] = [];
  const pooled = new Map<number, Float32Array>();
  for await (const group of inGroups(pairs, together, onFrame !== undefined)) {
    const made = await makeTokensTogether(model, group, budget, overTime, clock);
    // Half precision is what a store keeps: so an answer is the same, whether its video comes from there or not.
    blocks.push(...made.map((block) => ({ ...block, embeds: roundToHalf(block.embeds) })));
    for (const [i, { frame, companions: others = [], crop, encoded }] of group.entries()) {
      if (crop === undefined) {
        // Of a picture in crops the whole.
        pooled.set(frame.index, poolFrame(encoded[0]!, model.vision.cls));
        await onFrame?.(frame, made[i]!);
      }
      for (const other of others) {
        const { index, ptsSeconds } = other;
        companions.push({ index, ptsSeconds, tokens: 0, takenWith: frame.index });
        onDuplicate?.(other);
      }
    }
  }
  const { H } = model.language;
  const stretched = stretchSpans(blocks, [...dropped, ...companions]);
  return {
    ...{ H, tokensBefore, durationSeconds, isStill, inCrops, grid, framesTogether },
    ...(cropGrid && { cropGrid }),
    ...stretched,
    vectors: vectorsOfAll(stretched.frames.length, pooled),
  };
}

async function* shownTo(
  groups: AsyncIterable<readonly Frame[]>,
  onPicture: NonNullable<EncodeVideoOptions['onPicture']>,
): AsyncGenerator<readonly Frame[]> {
  for await (const group of groups) {
    for (const frame of group) await onPicture(frame);
    yield group;
  }
}

/** Frames that are compressed together. Their pictures are held only for who listens. */
async function* inGroups(
  pairs: AsyncIterable<EncodedPair>,
  size: number,
  withPictures: boolean,
): AsyncGenerator<EncodedPair[]> {
  let group: EncodedPair[] = [];
  for await (const { frame, companions = [], ...pair } of pairs) {
    group.push({
      ...pair,
      frame: withPictures ? frame : withoutPicture(frame),
      companions: companions.map(withoutPicture),
    });
    if (group.length < size) continue;
    yield group;
    group = [];
  }
  if (group.length > 0) yield group;
}

function withoutPicture(frame: Frame): Frame {
  return { ...frame, rgb: new Uint8Array(0) };
}

/** A block stands for the frames behind it that were left out, or of which no token was kept. */
function stretchSpans(
  all: readonly TokenBlock[],
  others: readonly SampledFrame[],
): Pick<VideoTokens, 'blocks' | 'frames'> {
  const frames: SampledFrame[] = [...groupByFrame(all).map(describe), ...others];
  frames.sort((a, b) => a.index - b.index);
  const blocks = all.filter(({ T }) => T > 0);
  const stretched = blocks.map((block, i) => {
    const { span } = block;
    const later = blocks.slice(i + 1).find((other) => other.span.first > span.first);
    const next = later?.span.first ?? Number.POSITIVE_INFINITY;
    const last = frames.findLast(({ index }) => index >= span.first && index < next)!;
    return { ...block, span: { ...span, last: last.index, endSeconds: last.ptsSeconds } };
  });
  return { blocks: stretched, frames };
}

/** The blocks of each frame: one, but of a picture whose crops stand in the prompt each by itself. */
export function groupByFrame(blocks: readonly TokenBlock[]): [TokenBlock, ...TokenBlock[]][] {
  const groups = new Map<number, [TokenBlock, ...TokenBlock[]]>();
  for (const block of blocks) {
    const group = groups.get(block.span.first);
    if (group) group.push(block);
    else groups.set(block.span.first, [block]);
  }
  return [...groups.values()];
}

function describe(blocks: readonly [TokenBlock, ...TokenBlock[]]): SampledFrame {
  const [{ span, standIns }] = blocks;
  const origins = blocks.flatMap((block) => block.origins);
  const count = (kind: Origin['kind']) => origins.filter((origin) => origin.kind === kind).length;
  const counts = { merged: count('contextual'), static: count('static'), standIns };
  const told = Object.entries(counts).filter(([, value]) => value);
  return {
    index: span.first,
    ptsSeconds: span.startSeconds,
    tokens: blocks.reduce((sum, { T }) => sum + T, 0),
    ...Object.fromEntries(told),
  };
}
