import { CELL_VALUES, CELLS } from '../media/cells.js';
import type { Frame } from '../media/types.js';

/** Of 255: a cell whose mean in some colour moved by more has changed. Noise of coding stays below. */
const LEAST_CHANGE = 4;

/**
 * Leaves out frames that show what the last one that was kept shows, before the tower has seen them: those of which no
 * cell's mean has changed. After EVS (arXiv 2510.14624) and TimeChat-Online's DTD (2504.17343), which hold patches
 * against the last frame that was kept, and drop patches; here whole frames go.
 *
 * @param onDrop hears of each frame that is left out.
 */
export async function* dropDuplicates(
  frames: AsyncIterable<Frame>,
  onDrop: (frame: Frame) => void,
): AsyncGenerator<Frame> {
  let kept = null as (Pick<Frame, 'width' | 'height'> & { readonly means: Float64Array }) | null;
  for await (const frame of frames) {
    const { width, height } = frame;
    const means = meanCells(frame);
    const isSame = kept?.width === width && kept.height === height && !hasChanged(kept.means, means);
    if (isSame) {
      onDrop(frame);
    } else {
      kept = { width, height, means };
      yield frame;
    }
  }
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
