import type { MultimodalRope, Positions } from '../models/types.js';
import type { TokenBlock, VideoTokens } from './types.js';

/** A time that is meant to fall on a position may miss it by rounding. */
const ROUNDING = 1e-6;

/**
 * Positions of a prompt's tokens in three axes (Qwen2-VL, arXiv 2409.12191, section 2.1). Words stand at the same number in
 * all of them. Blocks in a row, with no word between them, are one video: a visual token stands at its time, its row and its
 * column, all counted from where the video begins, and a kept token where it stood before the others were left out. Words go
 * on behind the largest number that the whole video would take.
 *
 * @param prefix token ids, `imageTokenId` once for each block.
 */
export function placeTokens(
  prefix: readonly number[],
  imageTokenId: number,
  { blocks, grid, framesTogether }: Pick<VideoTokens, 'blocks' | 'grid' | 'framesTogether'>,
  { time, perSecond = 1 }: MultimodalRope,
): Positions {
  const places: number[][] = [];
  let next = 0;
  let block = 0;
  for (let i = 0; i < prefix.length; i++) {
    if (prefix[i] !== imageTokenId) {
      places.push([next, next, next]);
      next += 1;
      continue;
    }
    const first = blocks[block]!.span;
    const start = next;
    for (let at = i; prefix[at] === imageTokenId; at++) {
      i = at;
      const { span, origins } = blocks[block++]!;
      const t = timeOf(span, first);
      for (const { rows } of origins)
        places.push([
          start + t,
          start + Math.floor(rows[0]! / grid.columns),
          start + (rows[0]! % grid.columns),
        ]);
      next = Math.max(next, start + t + 1, start + grid.rows, start + grid.columns);
    }
  }
  const axes = [0, 1, 2].flatMap((axis) => places.map((place) => BigInt(place[axis]!)));
  return { axes: BigInt64Array.from(axes), next };

  function timeOf(span: TokenBlock['span'], from: TokenBlock['span']): number {
    if (time === 'none') return 0;
    if (time === 'seconds') return Math.floor((span.startSeconds - from.startSeconds) * perSecond + ROUNDING);
    return Math.floor(span.first / framesTogether) - Math.floor(from.first / framesTogether);
  }
}
