import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from '../errors.js';
import { writePng } from '../media/image.js';
import type { Model } from '../models/types.js';
import { drawPatches, type PatchMap } from '../pipeline/draw.js';
import type { AnswerOptions, Origin, TokenBlock } from '../pipeline/types.js';

/** Writes each frame, as the tower sees it and with the kept patches marked, into a folder. */
export async function pictureWriter(
  folder: string,
  { vision }: Pick<Model, 'vision'>,
): Promise<NonNullable<AnswerOptions['onFrame']>> {
  await mkdir(folder, { recursive: true }).catch((cause: Error) => {
    throw new InputError(`no pictures can be written into ${folder}: ${cause.message}`, {
      fault: 'settings',
      cause,
    });
  });
  return async (frame, block) => {
    const picture = drawPatches(await vision.show(frame, block.grid), patchMap(block, vision));
    const name = `frame-${String(frame.index).padStart(4, '0')}-${frame.ptsSeconds.toFixed(3)}s.png`;
    await writePng(join(folder, name), picture.rgb, picture.width, picture.height);
  };
}

/**
 * Rows of the tower's output as patches: with a CLS token at 0, patch p is row p + 1. Of a picture in crops those of the
 * whole are shown.
 */
function patchMap({ origins, grid }: TokenBlock, { cls, grid: usual }: Model['vision']): PatchMap {
  const groups = (wanted: Origin['kind']) =>
    origins
      .filter(({ kind, crop }) => kind === wanted && crop === 0)
      .map(({ rows }) => rows.map((row) => (cls ? row - 1 : row)).filter((patch) => patch >= 0));
  return {
    ...(grid ?? usual),
    dominant: new Set(groups('dominant').flat()),
    contextual: groups('contextual'),
  };
}
