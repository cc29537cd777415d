import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from '../errors.js';
import { writePng } from '../media/image.js';
import { readModelFolder } from '../models/folder.js';
import { createPreprocessor } from '../models/preprocess.js';
import type { Model } from '../models/types.js';
import { drawPatches, type PatchMap } from '../pipeline/draw.js';
import type { AnswerOptions, Origin, TokenBlock } from '../pipeline/types.js';

/** Writes each frame, as the tower sees it and with the kept patches marked, into a folder. */
export async function pictureWriter(
  folder: string,
  modelDir: string,
  model: Model,
): Promise<NonNullable<AnswerOptions['onFrame']>> {
  await mkdir(folder, { recursive: true }).catch((cause: Error) => {
    throw new InputError(`no pictures can be written into ${folder}: ${cause.message}`, {
      fault: 'settings',
      cause,
    });
  });
  const preprocessor = createPreprocessor((await readModelFolder(modelDir)).preprocessor);
  return async (frame, block) => {
    const { width, height } = preprocessor;
    const picture = drawPatches(
      { width, height, rgb: await preprocessor.pixels(frame) },
      patchMap(block, model.vision),
    );
    const name = `frame-${String(frame.index).padStart(4, '0')}-${frame.ptsSeconds.toFixed(3)}s.png`;
    await writePng(join(folder, name), picture.rgb, picture.width, picture.height);
  };
}

/**
 * Rows of the tower's output as patches: with a CLS token at 0, patch p is row p + 1. Of a picture in crops those of the
 * whole are shown.
 */
function patchMap({ origins }: TokenBlock, { cls, grid }: Model['vision']): PatchMap {
  const groups = (wanted: Origin['kind']) =>
    origins
      .filter(({ kind, crop }) => kind === wanted && crop === 0)
      .map(({ rows }) => rows.map((row) => (cls ? row - 1 : row)).filter((patch) => patch >= 0));
  return { ...grid, dominant: new Set(groups('dominant').flat()), contextual: groups('contextual') };
}
