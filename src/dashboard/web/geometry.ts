import type { SightFrame } from '../../../queues/sight.js';

/** What became of a patch: kept as it is, merged into a contextual token, sent once for several frames, or left out. */
export type PatchFate = 'dominant' | 'merged' | 'static' | 'dropped';

/** Of each patch of a frame, row by row. */
export function fatesOf(frame: SightFrame): PatchFate[] {
  const { rows, columns } = frame.grid;
  const fates = new Array<PatchFate>(rows * columns).fill('dropped');
  const mark = (patches: readonly number[], fate: PatchFate) => {
    for (const patch of patches) if (patch >= 0 && patch < fates.length) fates[patch] = fate;
  };
  for (const patches of frame.contextual) mark(patches, 'merged');
  mark(frame.static ?? [], 'static');
  mark(frame.dominant, 'dominant');
  return fates;
}

/** A token of a frame: one patch, or several that were merged, the target first. */
export interface FrameToken {
  readonly kind: 'dominant' | 'contextual' | 'static';
  readonly patches: readonly number[];
}

/** Contextual ones first: they are the ones to be looked at. */
export function tokensOf(frame: SightFrame): FrameToken[] {
  return [
    ...frame.contextual.map((patches): FrameToken => ({ kind: 'contextual', patches })),
    ...(frame.static ?? []).map((patch): FrameToken => ({ kind: 'static', patches: [patch] })),
    ...frame.dominant.map((patch): FrameToken => ({ kind: 'dominant', patches: [patch] })),
  ];
}

/** Of each patch which token it went into, by its place in `tokensOf`; -1 of what went into none. */
export function tokenByPatch(frame: SightFrame): Int32Array {
  const owners = new Int32Array(frame.grid.rows * frame.grid.columns).fill(-1);
  for (const [token, { patches }] of tokensOf(frame).entries())
    for (const patch of patches) if (patch >= 0 && patch < owners.length) owners[patch] = token;
  return owners;
}

/** The patch at a place of the picture, both from 0 to 1; null outside. */
export function patchAt(grid: SightFrame['grid'], x: number, y: number): number | null {
  if (!(x >= 0 && x < 1 && y >= 0 && y < 1)) return null;
  return Math.floor(y * grid.rows) * grid.columns + Math.floor(x * grid.columns);
}

/** An SVG path of whole cells, one unit each; neighbours in a row become one rectangle. */
export function cellsPath(grid: SightFrame['grid'], patches: Iterable<number>): string {
  const wanted = [...new Set(patches)].sort((a, b) => a - b);
  let path = '';
  for (let i = 0; i < wanted.length; ) {
    const first = wanted[i]!;
    const row = Math.floor(first / grid.columns);
    let length = 1;
    while (wanted[i + length] === first + length && Math.floor((first + length) / grid.columns) === row)
      length++;
    path += `M${first % grid.columns} ${row}h${length}v1h${-length}z`;
    i += length;
  }
  return path;
}

/** The lines around cells where they end: between two cells of the set is none. */
export function outlinePath(grid: SightFrame['grid'], patches: Iterable<number>): string {
  const set = new Set(patches);
  let path = '';
  for (const patch of set) {
    const x = patch % grid.columns;
    const y = Math.floor(patch / grid.columns);
    if (!set.has(patch - grid.columns)) path += `M${x} ${y}h1`;
    if (!set.has(patch + grid.columns)) path += `M${x} ${y + 1}h1`;
    if (x === 0 || !set.has(patch - 1)) path += `M${x} ${y}v1`;
    if (x === grid.columns - 1 || !set.has(patch + 1)) path += `M${x + 1} ${y}v1`;
  }
  return path;
}

/** "row 3, column 5", counted from 1. */
export function placeOf(grid: SightFrame['grid'], patch: number): string {
  return `row ${Math.floor(patch / grid.columns) + 1}, column ${(patch % grid.columns) + 1}`;
}

/** Which of the times, in order, is on display at a moment: the last that has come; -1 before the first. */
export function shownAt(times: readonly number[], seconds: number): number {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    // A player that was told to go to a time may stand a little before it.
    if (times[middle]! <= seconds + 0.02) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
