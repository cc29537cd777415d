/** Rows and columns of the cells into which a frame is divided. */
export const CELLS = 16;
/** Numbers of one frame: the mean of each cell, in red, green and blue. */
export const CELL_VALUES = CELLS * CELLS * 3;

/** A frame at the size of a thumbnail. */
export interface FrameCells {
  /** Position in `index.ptsSeconds`. */
  readonly index: number;
  /** (CELLS, CELLS, 3), row-major. */
  readonly cells: Uint8Array;
}
