import { createChat } from './chat.js';
import { readChat } from './chat-files.js';
import { createPictureCrops } from './crops.js';
import { blameModel } from './fault.js';
import {
  describeModel,
  type ModelDescription,
  readModelFolder,
  readNativePreprocessor,
  readPreprocessor,
} from './folder.js';
import type { Manifest } from './manifest.js';
import { createNativeResolution } from './native-resolution.js';
import { readNewline } from './newline.js';
import { createPreprocessor, type Preprocessor } from './preprocess.js';
import { createPictureSplit } from './split-picture.js';
import type { ModelOutline, Vision } from './types.js';

/** A model without its weights, for whoever plans and does not run it. Throws as `loadModel`. */
export async function outlineModel(dir: string): Promise<ModelOutline> {
  return blameModel(`the model in ${dir}`, async () => (await readOutline(await describeModel(dir))).outline);
}

export interface ReadOutline {
  readonly outline: ModelOutline;
  /** The newline's embedding (H), where the family has one. */
  readonly newline: Float32Array | undefined;
  /** Absent where the model takes pictures in their own proportions. */
  readonly preprocessor: Preprocessor | undefined;
  readonly eosTokenIds: readonly number[];
}

/** All that the small files of a model folder say. */
export async function readOutline({ dir, digest, dtype, manifest }: ModelDescription): Promise<ReadOutline> {
  const folder = await readModelFolder(dir);
  const newline = await readNewline(dir, manifest);
  const chat = createChat(await readChat(dir, folder, manifest, newline));
  const { name, defaults, contextLength, order } = manifest;
  const { cls, keepsCls, keyWidth, grid: patches, pooled } = manifest.tower;
  const grid = pooled ?? patches;
  const { preprocessor, ...pictures } = await readPreprocessing(dir, manifest, newline !== undefined);
  return {
    outline: {
      ...{ name, digest, dtype, defaults, chat, generationDefaults: folder.generationDefaults },
      vision: {
        ...{ cls, keepsCls, compressible: keyWidth > 0, grid, P: grid.rows * grid.columns },
        inRasterOrder: order === 'project-compress',
        ...pictures,
      },
      language: { contextLength },
    },
    ...{ newline: newline?.embedding, preprocessor, eosTokenIds: folder.eosTokenIds },
  };
}

/** How the tower's pictures are made: of one size each, or in their own proportions; and of a still one the crops. */
async function readPreprocessing(
  dir: string,
  { pictureResolutions, splitsPictures, tower }: Manifest,
  newlines: boolean,
): Promise<Pick<Vision, 'crops' | 'native'> & { readonly preprocessor?: Preprocessor }> {
  if (tower.native) {
    const { pixelsOf } = tower.native;
    return { native: createNativeResolution({ ...(await readNativePreprocessor(dir)), pixelsOf }) };
  }
  const config = await readPreprocessor(dir);
  const preprocessor = createPreprocessor(config);
  if (splitsPictures) return { preprocessor, crops: createPictureSplit(config) };
  if (!pictureResolutions) return { preprocessor };
  const crops = createPictureCrops(pictureResolutions, preprocessor, config.resample, newlines);
  return { preprocessor, crops };
}
