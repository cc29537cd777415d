import type { Grid } from '../models/pool.js';
import type { Model } from '../models/types.js';
import type { Origin, TokenBlock } from '../pipeline/types.js';

/** What became of a frame's patches, in raster order of its grid. */
export interface Patches {
  readonly grid: Grid;
  /** Patches that were kept as they are. */
  readonly dominant: readonly number[];
  /** Patches that were kept once for several frames. */
  readonly static: readonly number[];
  /** For each contextual token its patches, the target first. */
  readonly contextual: readonly (readonly number[])[];
}

/**
 * Rows of the tower's output as patches: with a CLS token at 0, patch p is row p + 1. Of a picture in crops those of the
 * whole.
 */
export function patchesOf(
  { origins, grid }: Pick<TokenBlock, 'origins' | 'grid'>,
  { cls, grid: usual }: Pick<Model['vision'], 'cls' | 'grid'>,
): Patches {
  const groups = (wanted: Origin['kind']) =>
    origins
      .filter(({ kind, crop }) => kind === wanted && crop === 0)
      .map(({ rows }) => rows.map((row) => (cls ? row - 1 : row)).filter((patch) => patch >= 0));
  return {
    grid: grid ?? usual,
    dominant: groups('dominant').flat(),
    static: groups('static').flat(),
    contextual: groups('contextual'),
  };
}
