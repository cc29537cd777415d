import { NEWLINE } from '../models/newline.js';
import type { Grid } from '../models/pool.js';
import type { CompressedFrame } from './types.js';

interface Size {
  readonly width: number;
  readonly height: number;
}

/**
 * All tokens of a picture as LLaVA-NeXT gives them to its language model: those of the whole, then those of the crops
 * in raster order of the picture that they make together, without what was filled up, a newline behind each row where
 * the model has one. Tokens are numbered crop after crop, the whole first.
 *
 * @param patches of one crop.
 */
export function orderOfAll(crops: Grid, patches: Grid, picture: Size, newline: boolean): number[] {
  const P = patches.rows * patches.columns;
  const stitched = { rows: crops.rows * patches.rows, columns: crops.columns * patches.columns };
  const order = Array.from({ length: P }, (_, token) => token);
  const edge = filledUp(stitched, picture);
  for (let row = edge.rows; row < stitched.rows - edge.rows; row++) {
    for (let column = edge.columns; column < stitched.columns - edge.columns; column++) {
      const crop = Math.floor(row / patches.rows) * crops.columns + Math.floor(column / patches.columns);
      const patch = (row % patches.rows) * patches.columns + (column % patches.columns);
      order.push((crop + 1) * P + patch);
    }
    if (newline) order.push(NEWLINE);
  }
  return order;
}

/** Rows at the top and again at the bottom, or columns at both sides, that show nothing of the picture. */
function filledUp({ rows, columns }: Grid, { width, height }: Size): Grid {
  const trunc = (value: number) => Math.trunc(Number(value.toFixed(7)));
  if (width / height > columns / rows)
    return { rows: Math.floor((rows - trunc(height * (columns / width))) / 2), columns: 0 };
  return { rows: 0, columns: Math.floor((columns - trunc(width * (rows / height))) / 2) };
}

/**
 * The kept tokens of a picture in the order of VisionZip's published code for LLaVA-NeXT: those of the whole; the
 * crops' dominant patches in raster order of the picture that they make together; each crop's CLS; each crop's
 * contextual tokens. No newlines, and nothing is taken off the edges.
 *
 * @param kept the whole first; as many tokens of each, and numbered in this order.
 * @param patches of one crop.
 */
export function orderOfKept(
  kept: readonly CompressedFrame[],
  crops: Grid,
  patches: Grid,
  cls: boolean,
): number[] {
  const first = cls ? 1 : 0;
  const [whole, ...closer] = kept;
  const T = whole!.T;
  const dominant: { place: number; token: number }[] = [];
  const classes: number[] = [];
  const contextual: number[] = [];
  closer.forEach(({ dominantIndices }, crop) => {
    const top = Math.floor(crop / crops.columns) * patches.rows;
    const left = (crop % crops.columns) * patches.columns;
    for (let t = 0; t < T; t++) {
      const token = (crop + 1) * T + t;
      const patch = (dominantIndices[t] ?? -1) - first;
      const row = top + Math.floor(patch / patches.columns);
      const column = left + (patch % patches.columns);
      if (t >= dominantIndices.length) contextual.push(token);
      else if (patch < 0) classes.push(token);
      else dominant.push({ place: row * crops.columns * patches.columns + column, token });
    }
  });
  dominant.sort((a, b) => a.place - b.place);
  return [
    ...Array.from({ length: T }, (_, token) => token),
    ...dominant.map(({ token }) => token),
    ...classes,
    ...contextual,
  ];
}
