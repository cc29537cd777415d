import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from '../errors.js';
import { writePng } from '../media/image.js';
import type { Model } from '../models/types.js';
import { drawPatches, type PatchMap } from '../pipeline/draw.js';
import type { AnswerOptions, TokenBlock } from '../pipeline/types.js';
import { patchesOf } from './patches.js';

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

function patchMap(block: TokenBlock, vision: Model['vision']): PatchMap {
  const { grid, dominant, contextual } = patchesOf(block, vision);
  return { ...grid, dominant: new Set(dominant), contextual };
}
