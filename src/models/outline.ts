import { createChat } from './chat.js';
import { readChat } from './chat-files.js';
import { createPictureCrops } from './crops.js';
import { blameModel } from './fault.js';
import { describeModel, type ModelDescription, readModelFolder } from './folder.js';
import { readNewline } from './newline.js';
import { createPreprocessor, type Preprocessor } from './preprocess.js';
import type { ModelOutline } from './types.js';

/** A model without its weights, for whoever plans and does not run it. Throws as `loadModel`. */
export async function outlineModel(dir: string): Promise<ModelOutline> {
  return blameModel(`the model in ${dir}`, async () => (await readOutline(await describeModel(dir))).outline);
}

export interface ReadOutline {
  readonly outline: ModelOutline;
  /** The newline's embedding (H), where the family has one. */
  readonly newline: Float32Array | undefined;
  readonly preprocessor: Preprocessor;
  readonly eosTokenIds: readonly number[];
}

/** All that the small files of a model folder say. */
export async function readOutline({ dir, digest, dtype, manifest }: ModelDescription): Promise<ReadOutline> {
  const folder = await readModelFolder(dir);
  const newline = await readNewline(dir, manifest);
  const chat = createChat(await readChat(dir, folder, manifest, newline));
  const preprocessor = createPreprocessor(folder.preprocessor);
  const { name, defaults, contextLength, pictureResolutions } = manifest;
  const { cls, keepsCls, keyWidth, grid: patches, pooled } = manifest.tower;
  const grid = pooled ?? patches;
  const crops =
    pictureResolutions &&
    createPictureCrops(pictureResolutions, preprocessor, folder.preprocessor.resample, newline !== undefined);
  return {
    outline: {
      ...{ name, digest, dtype, defaults, chat, generationDefaults: folder.generationDefaults },
      vision: {
        ...{ cls, keepsCls, compressible: keyWidth > 0, grid, P: grid.rows * grid.columns },
        ...(crops && { crops }),
      },
      language: { contextLength },
    },
    ...{ newline: newline?.embedding, preprocessor, eosTokenIds: folder.eosTokenIds },
  };
}
