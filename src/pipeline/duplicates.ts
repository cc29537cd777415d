import { CELL_VALUES, CELLS } from '../media/cells.js';
import type { Frame } from '../media/types.js';

/** Of 255: a cell whose mean in some colour moved by more has changed. Noise of coding stays below. */
const LEAST_CHANGE = 4;

/**
 * Leaves out frames that show what the last one that was kept shows, before the tower has seen them: those of which no
 * cell's mean has changed. After EVS (arXiv 2510.14624) and TimeChat-Online's DTD (2504.17343), which hold patches
 * against the last frame that was kept, and drop patches; here whole frames go.
 *
 * @param groups frames that the tower takes together, mostly one each: a group goes whole or not at all.
 * @param onDrop hears of each frame that is left out, and of the one whose tokens stand for it, by its position.
 */
export async function* dropDuplicates(
  groups: AsyncIterable<readonly Frame[]>,
  onDrop: (frame: Frame, sameAs: number) => void,
): AsyncGenerator<readonly Frame[]> {
  let kept: Look | null = null;
  let keptIndex = 0;
  for await (const group of groups) {
    const looks = group.map(lookAt);
    const before: Look | null = kept;
    if (before && looks.every((look) => isSame(before, look))) {
      for (const frame of group) onDrop(frame, keptIndex);
    } else {
      kept = looks.at(-1)!;
      keptIndex = group[0]!.index; // It has the tokens of those that the tower takes with it.
      yield group;
    }
  }
}

type Look = Pick<Frame, 'width' | 'height'> & { readonly means: Float64Array };

function lookAt(frame: Frame): Look {
  return { width: frame.width, height: frame.height, means: meanCells(frame) };
}

function isSame(before: Look, now: Look): boolean {
  return before.width === now.width && before.height === now.height && !hasChanged(before.means, now.means);
}

function hasChanged(before: Float64Array, now: Float64Array): boolean {
  return now.some((mean, i) => Math.abs(mean - before[i]!) > LEAST_CHANGE);
}

/** (CELLS, CELLS, 3) */
function meanCells({ width, height, rgb }: Frame): Float64Array {
  const sums = new Float64Array(CELL_VALUES);
  const counts = new Float64Array(CELLS * CELLS);
  for (let y = 0; y < height; y++) {
    const row = Math.floor((y * CELLS) / height) * CELLS;
    for (let x = 0; x < width; x++) {
      const cell = row + Math.floor((x * CELLS) / width);
      const at = (y * width + x) * 3;
      counts[cell]! += 1;
      sums[3 * cell]! += rgb[at]!;
      sums[3 * cell + 1]! += rgb[at + 1]!;
      sums[3 * cell + 2]! += rgb[at + 2]!;
    }
  }
  return sums.map((sum, i) => sum / Math.max(1, counts[Math.floor(i / 3)]!));
}
