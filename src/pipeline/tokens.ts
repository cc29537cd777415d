import type { Frame } from '../media/types.js';
import { NEWLINE } from '../models/newline.js';
import type { Model, TokenBudget } from '../models/types.js';
import { compressFrame, keepAll } from './compress.js';
import { orderOfAll, orderOfKept } from './crop-order.js';
import type { EncodedPair } from './encode.js';
import { compressFrames } from './over-time/compress-frames.js';
import { noOverTime } from './over-time/stages.js';
import type { StageClock } from './timings.js';
import type { CompressedFrame, Origin, OverTimeStages, TokenBlock } from './types.js';

type TokensModel = Pick<Model, 'vision'> & { readonly language: Pick<Model['language'], 'H' | 'embed'> };

/** What of a frame its tokens depend on besides what the tower made of it. */
export type FrameShape = Pick<Frame, 'index' | 'ptsSeconds' | 'width' | 'height'>;

/**
 * From what the tower made of a frame to visual tokens: compressed with a budget, or all of them; then projected. Of a
 * picture in crops each crop has the budget, and the tokens are put in order afterwards.
 */
export async function makeTokens(
  model: TokensModel,
  pair: { readonly frame: FrameShape } & Pick<EncodedPair, 'encoded' | 'crop'>,
  budget: TokenBudget | null,
  clock: StageClock,
): Promise<TokenBlock> {
  const [block] = await makeTokensTogether(model, [pair], budget, noOverTime, clock);
  return block!;
}

/** The same for frames in a row, with the stages that look from one to the other: a block each, empty or not. */
export async function makeTokensTogether(
  model: TokensModel,
  pairs: readonly ({ readonly frame: FrameShape } & Pick<EncodedPair, 'encoded' | 'crop'>)[],
  budget: TokenBudget | null,
  stages: OverTimeStages,
  clock: StageClock,
): Promise<TokenBlock[]> {
  const kept = await clock.measure('compressMs', () => compressTogether(model.vision, pairs, budget, stages));
  const blocks: TokenBlock[] = [];
  for (const [i, { frame, crop, encoded }] of pairs.entries()) {
    const project = () => projectKept(model, frame, kept[i]!, budget !== null, crop);
    const { grid } = encoded[0]!;
    blocks.push({ ...(await clock.measure('projectMs', project)), ...(grid && { grid }) });
  }
  return blocks;
}

/** The first half: for each frame the kept tokens of its crops. */
function compressTogether(
  { keepsCls }: Pick<Model['vision'], 'keepsCls'>,
  frames: readonly Pick<EncodedPair, 'encoded'>[],
  budget: TokenBudget | null,
  stages: OverTimeStages,
): CompressedFrame[][] {
  if (!budget) return frames.map(({ encoded }) => encoded.map((crop) => keepAll(crop, keepsCls)));
  if (frames.length === 1) {
    return [frames[0]!.encoded.map((crop) => compressFrame(crop, budget, { select: stages.dominant }))];
  }
  const whole = frames.map(({ encoded }) => encoded[0]!);
  return compressFrames(whole, budget, stages).map((frame) => [frame]);
}

/** The second half: the kept tokens of a frame or of its crops, projected and in order. */
export async function projectKept(
  model: TokensModel,
  frame: FrameShape,
  kept: readonly CompressedFrame[],
  compressed: boolean,
  /** Which crop it is alone. */
  crop = 0,
): Promise<TokenBlock> {
  const { vision, language } = model;
  const { index, ptsSeconds } = frame;
  const T = kept.length * kept[0]!.T;
  const projected = T === 0 ? new Float32Array(0) : await vision.project(concatenate(kept), T, compressed);
  const origins = kept.flatMap((one, i) => originsOf(one, crop + i));
  const block = {
    span: { first: index, last: index, startSeconds: ptsSeconds, endSeconds: ptsSeconds },
    ptsSeconds: kept[0]!.ptsSeconds,
    ...(await arrange(model, frame, kept, compressed, { embeds: projected, origins })),
  };
  const { standIns } = kept[0]!;
  return { ...block, T: block.embeds.length / language.H, ...(standIns && { standIns }) };
}

/** The tokens in the order in which the language model gets them. */
async function arrange(
  model: TokensModel,
  frame: FrameShape,
  kept: readonly CompressedFrame[],
  compressed: boolean,
  tokens: Pick<TokenBlock, 'embeds' | 'origins'>,
): Promise<Pick<TokenBlock, 'embeds' | 'origins'>> {
  if (kept.length > 1) return putInOrder(tokens, orderOf(model, frame, kept, compressed), model.language);
  if (!model.vision.inRasterOrder) return tokens;
  return putInOrder(tokens, rasterOrder(tokens.origins), model.language);
}

/** By the row that each came from, a contextual token by its target's. */
function rasterOrder(origins: readonly Origin[]): number[] {
  return origins.map((_, token) => token).sort((a, b) => origins[a]!.rows[0]! - origins[b]!.rows[0]!);
}

/** (crops × T, D) */
function concatenate(kept: readonly CompressedFrame[]): Float32Array {
  if (kept.length === 1) return kept[0]!.tokens;
  const [{ tokens }] = kept as [CompressedFrame];
  const all = new Float32Array(kept.length * tokens.length);
  kept.forEach((crop, i) => {
    all.set(crop.tokens, i * tokens.length);
  });
  return all;
}

function originsOf({ dominantIndices, contextualMembers, reach }: CompressedFrame, crop: number): Origin[] {
  const origins = [
    ...dominantIndices.map((row): Origin => ({ kind: 'dominant', crop, rows: [row] })),
    ...contextualMembers.map((rows): Origin => ({ kind: 'contextual', crop, rows })),
  ];
  if (!reach) return origins;
  return origins.map((origin, t) => {
    const frames = reach[t]!;
    if (frames.first === frames.last) return origin;
    return { ...origin, kind: origin.kind === 'dominant' ? 'static' : origin.kind, frames };
  });
}

/** Of the tokens of all crops, numbered crop after crop, and `NEWLINE`. */
function orderOf(
  { vision: { grid, cls, crops } }: TokensModel,
  { width, height }: Pick<Frame, 'width' | 'height'>,
  kept: readonly CompressedFrame[],
  compressed: boolean,
): number[] {
  const cropGrid = crops!.gridOf(width, height);
  return compressed
    ? orderOfKept(kept, cropGrid, grid, cls)
    : orderOfAll(cropGrid, grid, { width, height }, crops!.newlines);
}

async function putInOrder(
  tokens: Pick<TokenBlock, 'embeds' | 'origins'>,
  order: readonly number[],
  { H, embed }: Pick<Model['language'], 'H' | 'embed'>,
): Promise<Pick<TokenBlock, 'embeds' | 'origins'>> {
  const newline = order.includes(NEWLINE) ? await embed([NEWLINE]) : null;
  const embeds = new Float32Array(order.length * H);
  order.forEach((token, place) => {
    const row = token === NEWLINE ? newline! : tokens.embeds.subarray(token * H, (token + 1) * H);
    embeds.set(row, place * H);
  });
  const origins = order.map((token) => (token === NEWLINE ? newlineOrigin : tokens.origins[token]!));
  return { embeds, origins };
}

const newlineOrigin: Origin = { kind: 'newline', crop: 0, rows: [] };
