import { readdir, rm, writeFile } from 'node:fs/promises';
import { basename, join, relative, resolve } from 'node:path';
import { InputError } from '../../errors.js';
import { createPictureCrops } from '../crops.js';
import type { Family } from '../families/family.js';
import { findFamily } from '../families/index.js';
import {
  manifestFile,
  readJson,
  readModelFolder,
  readNativePreprocessor,
  readPreprocessor,
} from '../folder.js';
import { Graph } from '../graph/graph.js';
import { readGraph } from '../graph/read.js';
import { writeGraph } from '../graph/write.js';
import { chooseGraphs, type Dtype, type DtypeWish, NEWLINE_FILE, scalesOverAll } from '../layout.js';
import { type Manifest, manifestSchema } from '../manifest.js';
import { outlineModel } from '../outline.js';
import { createPreprocessor } from '../preprocess.js';
import type { PreprocessorConfig } from '../preprocessor-config.js';
import { contextLength, type PublishedConfig, publishedConfigSchema } from '../published-config.js';
import { splitBudget } from '../split-budget.js';
import type { FrameDefaults } from '../types.js';
import { prepareAppending } from './appending.js';
import { castEdges } from './edges.js';
import { prepareVision } from './encoder.js';
import { cutLogits } from './logits.js';
import { nameFile, settleEdges, type Task, withSettledEdges } from './task.js';
import { compareDecoders, type Difference } from './verify.js';
import { describeWeights } from './weights.js';

export interface PrepareOptions {
  /** Default: the family's mix, as far as it is there: see `chooseGraphs`. */
  readonly dtype?: DtypeWish;
  /** Threads of ONNX Runtime for the check; default 1. */
  readonly threads?: number;
  /** Called with a sentence before each step. */
  readonly onStep?: (what: string) => void;
}

export interface Prepared {
  readonly manifest: Manifest;
  /** Of the prepared graphs against the untouched ones, on random input. */
  readonly differences: readonly Difference[];
}

/** The largest difference that prepared graphs may show, |a − b| / (1 + |b|). */
const LIMITS: Readonly<Record<Dtype, number>> = {
  fp32: 1e-3,
  int8: 1e-3,
  q8: 1e-3,
  uint8: 1e-3,
  q4: 0.02,
  bnb4: 0.02,
  q4f16: 0.02,
  fp16: 0.02,
};
/**
 * Makes a published model ready for the worker: cuts the vision encoder into tower and projector, lets VisionZip's
 * scores and keys out, cuts the logits to the last position, and compares all of it with the untouched graphs. Only
 * new files are written: small graphs whose weights stay in the original files, and the manifest.
 *
 * Throws an InputError where the folder holds no model that can be prepared, with what was looked for, and an Error
 * where the prepared graphs differ from the untouched ones.
 */
export async function prepareModel(dir: string, options: PrepareOptions = {}): Promise<Prepared> {
  const path = resolve(dir);
  const config = await readJson(path, 'config.json', publishedConfigSchema);
  const family = findFamily(config.model_type);
  const there = await filesBelow(path);
  const graphs = chooseGraphs(there, { wish: options.dtype, mix: family.mix }, basename(path));
  const hasNewline = family.newline !== 'none' && there.includes(NEWLINE_FILE);
  if (family.newline !== 'none' && !hasNewline)
    options.onStep?.(`without the newline embedding, which this export lacks (${NEWLINE_FILE})`);
  const task: Task = {
    path,
    config,
    family,
    graphs,
    threads: options.threads ?? 1,
    step: options.onStep ?? (() => {}),
  };
  await rm(join(path, manifestFile), { force: true });
  // What loading needs beside the graphs: better missed now than by a worker.
  await readModelFolder(path);
  const pictures = await readPictures(task);
  const vision = await prepareVision(task);
  const { config: preprocessor } = pictures;
  const resolutions =
    family.crops === 'together' && resolutionsOf(task, preprocessor!, vision.tower.keepsCls);
  const decoder = await prepareDecoder(task);
  const manifest: Manifest = {
    formatVersion: 1,
    name: basename(path),
    family: family.name,
    dtype: graphs.dtypes.decoder,
    ...(new Set(Object.values(graphs.dtypes)).size > 1 && { dtypes: graphs.dtypes }),
    files: {
      ...vision.files,
      embedTokens: await prepareEmbedding(task),
      decoder: decoder.file,
      ...(hasNewline && { newline: NEWLINE_FILE }),
    },
    tower: vision.tower,
    order: family.order,
    frames: family.frames,
    still: family.still ?? 'frame',
    ...(family.rope && { rope: ropeOf(family.rope, config) }),
    newlineTokens: hasNewline ? family.newline : 'none',
    ...(resolutions && { pictureResolutions: resolutions }),
    splitsPictures: family.crops === 'apart' && preprocessor?.do_image_splitting !== false,
    contextLength: contextLength(config),
    frameTimes: false,
    defaults: {
      ...pictures.frames,
      compression: splitBudget(vision.budget),
      ...('share' in vision && { share: vision.share }),
    },
    weights: await describeWeights(path, graphs.files),
  };
  requireAlike([vision.difference], LIMITS[graphs.dtypes.vision]);
  requireAlike(decoder.differences, LIMITS[graphs.dtypes.decoder]);
  const differences = [vision.difference, ...decoder.differences];
  const file = join(path, manifestFile);
  await writeFile(file, `${JSON.stringify(manifestSchema.parse(manifest), null, 2)}\n`);
  task.step('laying out a prompt');
  await layOutTwoFrames(path).catch(async (error) => {
    await rm(file);
    throw error;
  });
  return { manifest, differences };
}

/** A chat template that loses frames is found here, and not by the first job. */
async function layOutTwoFrames(path: string): Promise<void> {
  const { chat } = await outlineModel(path);
  chat.layOut({ ptsSeconds: [0, 1], durationSeconds: 2 }, 'What is this?');
}

function requireAlike(differences: readonly Difference[], limit: number): void {
  for (const { what, largest, limit: own = limit } of differences)
    if (!(largest <= own))
      throw new Error(`${what} differ by ${largest} from the untouched graph's, more than ${own}`);
}

/** How the model's own files say that pictures are prepared, and a video sampled; else what is known of its family. */
async function readPictures({
  path,
  family,
}: Task): Promise<{ readonly frames: FrameDefaults; readonly config?: PreprocessorConfig }> {
  if (!family.native) {
    const config = await readPreprocessor(path);
    return { frames: framesOf(config, family), config };
  }
  const { video } = await readNativePreprocessor(path, family.native);
  const { frames, mostFrames, framesPerSecond } = family.defaultFrames;
  return {
    frames: {
      frames: video.min_frames ?? frames,
      mostFrames: video.max_frames ?? mostFrames,
      framesPerSecond: video.fps ?? framesPerSecond,
    },
  };
}

/** What config.json says of the time axis. */
function ropeOf(
  time: NonNullable<Family['rope']>,
  { vision_config }: PublishedConfig,
): NonNullable<Manifest['rope']> {
  return time === 'seconds' ? { time, perSecond: vision_config?.tokens_per_second ?? 1 } : { time };
}

function framesOf(
  { video_sampling: sampling }: PreprocessorConfig,
  { defaultFrames }: Family,
): FrameDefaults {
  if (!sampling) return defaultFrames;
  const { frames } = defaultFrames;
  return {
    frames: Math.min(frames, sampling.max_frames),
    mostFrames: sampling.max_frames,
    framesPerSecond: sampling.fps,
  };
}

/** That a still picture is cut into crops from; none where the files name none, or CLS goes to the language model. */
function resolutionsOf({ config, step }: Task, preprocessor: PreprocessorConfig, keepsCls: boolean) {
  const resolutions = preprocessor.image_grid_pinpoints ?? config.image_grid_pinpoints;
  if (!resolutions || keepsCls) {
    step('a picture is encoded as a whole, as a frame is: no `image_grid_pinpoints` to cut crops by');
    return undefined;
  }
  createPictureCrops(resolutions, createPreprocessor(preprocessor), preprocessor.resample);
  return resolutions;
}

async function prepareDecoder(task: Task) {
  const { graphs, step } = task;
  const source = graphs.graphs.decoder;
  step(`cutting ${source}`);
  const file = nameFile(source, 'decoder');
  return withSettledEdges(task, source, async (whole) => {
    const compared = await prepareAppending(task, whole, file, LIMITS[graphs.dtypes.decoder]);
    return { file, differences: compared ?? (await prepareCut(task, whole, file)) };
  });
}

/** Writes a decoder whose logits alone are cut. */
async function prepareCut({ path, config, graphs, threads, step }: Task, whole: string, file: string) {
  const source = graphs.graphs.decoder;
  const model = await readGraph(join(path, source));
  settleEdges(model.graph!, config);
  cutLogits(model.graph!);
  await writeGraph(join(path, file), model, model.graph!);
  step(`comparing ${source}`);
  // Some graphs scale over all positions that they are given: parts of a prompt give other numbers.
  return compareDecoders(whole, join(path, file), !scalesOverAll(graphs.dtypes.decoder), threads);
}

async function prepareEmbedding({ path, graphs }: Task): Promise<string> {
  const source = graphs.graphs.embed;
  const model = await readGraph(join(path, source));
  if (!castEdges(new Graph(model.graph!))) return source;
  const file = nameFile(source, 'embed_tokens');
  await writeGraph(join(path, file), model, model.graph!);
  return file;
}

async function filesBelow(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true }).catch((cause) => {
    throw new InputError(`${dir} is no folder that can be read: ${cause.code}`, { cause });
  });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(dir, join(entry.parentPath, entry.name)).replaceAll('\\', '/'));
}
