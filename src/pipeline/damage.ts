import type { VideoWarning } from '../media/types.js';

/** What the result says of frames that could not be decoded: for each, by its position, how far away the one is that stands in, in seconds. */
export function tellDamage(damage: readonly ReadonlyMap<number, number>[]): VideoWarning[] {
  const substituted = new Map(damage.flatMap((one) => [...one]));
  const { size } = substituted;
  if (size === 0) return [];
  const furthest = Math.max(...substituted.values()).toFixed(2);
  const message =
    size === 1
      ? `1 frame is damaged: the nearest sound one stands in, ${furthest} seconds away`
      : `${size} frames are damaged: the nearest sound ones stand in, at most ${furthest} seconds away`;
  return [{ kind: 'damaged', message }];
}
