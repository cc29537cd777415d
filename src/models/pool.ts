/** A grid of vectors: (rows, columns, width) in raster order. */
export interface Grid {
  readonly rows: number;
  readonly columns: number;
}

/**
 * Bilinear resampling of a grid (rows × columns, width) to another size: PyTorch's `interpolate` with corners not
 * aligned and without antialiasing. LLaVA-OneVision pools the tokens of a video frame so, from 27 × 27 to 14 × 14
 * (arXiv 2408.03326, section 3.2).
 */
export function resampleGrid(values: Float32Array, from: Grid, to: Grid): Float32Array {
  const width = values.length / (from.rows * from.columns);
  const down = taps(from.rows, to.rows);
  const across = taps(from.columns, to.columns);
  const out = new Float32Array(to.rows * to.columns * width);
  down.forEach(([top, bottom, v], row) => {
    across.forEach(([left, right, u], column) => {
      const at = (row * to.columns + column) * width;
      const corner = (y: number, x: number) => (y * from.columns + x) * width;
      const [a, b, c, d] = [
        corner(top, left),
        corner(top, right),
        corner(bottom, left),
        corner(bottom, right),
      ];
      for (let i = 0; i < width; i++) {
        const upper = values[a + i]! * (1 - u) + values[b + i]! * u;
        const lower = values[c + i]! * (1 - u) + values[d + i]! * u;
        out[at + i] = upper * (1 - v) + lower * v;
      }
    });
  });
  return out;
}

/** For each place of the result the two places it lies between, and how far it is from the first. */
function taps(from: number, to: number): [first: number, second: number, share: number][] {
  return Array.from({ length: to }, (_, i) => {
    const place = Math.max(0, ((i + 0.5) * from) / to - 0.5);
    const first = Math.min(Math.floor(place), from - 1);
    return [first, Math.min(first + 1, from - 1), place - first];
  });
}
