import { join } from 'node:path';
import { InputError } from '../../errors.js';
import { readNativePreprocessor, readPreprocessor } from '../folder.js';
import { Graph } from '../graph/graph.js';
import { readGraph } from '../graph/read.js';
import { opsetOf, writeGraph } from '../graph/write.js';
import { type Dtype, scalesOverAll } from '../layout.js';
import type { Manifest } from '../manifest.js';
import { createNativeResolution } from '../native-resolution.js';
import { createPreprocessor } from '../preprocess.js';
import { exposeConnector, exposeMerger, type Squares } from './behind.js';
import { type ClassToken, cutProjector, cutTower } from './cut.js';
import { castEdges } from './edges.js';
import { nameFile, type Task, withSettledEdges } from './task.js';
import { compareMerger, compareVision, compareWrapped, picture, runOnce } from './verify.js';
import { findVisionParts, type VisionParts } from './vision.js';

/** Cuts or wraps the vision encoder, and says what a manifest does of it. */
export async function prepareVision(task: Task) {
  const { order, native } = task.family;
  if (order !== 'project-compress') return cutEncoder(task);
  return native ? prepareMerger(task) : prepareConnector(task);
}

async function cutEncoder(task: Task) {
  const { path, family, graphs, threads, step } = task;
  const source = graphs.graphs.vision;
  step(`cutting ${source}`);
  const preprocessor = await readPreprocessor(path);
  const { height, width } = createPreprocessor(preprocessor);
  const files = { visionTower: nameFile(source, 'tower'), projector: nameFile(source, 'projector') };
  const [tower, projector] = [join(path, files.visionTower), join(path, files.projector)];
  const cut = async (cls: ClassToken) => {
    const model = await readGraph(join(path, source));
    castEdges(new Graph(model.graph!));
    const parts = findVisionParts(model.graph!, opsetOf(model));
    await writeGraph(tower, model, cutTower(parts, cls));
    await writeGraph(projector, model, cutProjector(parts));
    return parts;
  };
  // Where there is a CLS token shows in the number of tokens that come out.
  let parts = await cut('none');
  const { hidden, keys } = await runOnce(tower, picture(height, width), threads);
  const [, N = 0, D = 0] = hidden!.dims;
  const token = findClassToken(N, keys!.dims[1]!);
  if (token !== 'none') parts = await cut(token);
  const cls = token === 'first';
  step(`comparing ${source}`);
  const dropped = parts.projected !== parts.feature && cls ? 1 : 0;
  const patches = cls ? N - 1 : N;
  const shape = { height, width, patches, dropped };
  const difference = await withSettledEdges(task, source, (whole) =>
    compareVision(whole, tower, projector, shape, picturesAtOnce(graphs.dtypes.vision), threads),
  );
  const side = Math.sqrt(patches);
  const grid = { rows: side, columns: side };
  const half = Math.ceil(side / 2);
  const pooled = family.order === 'project-pool-compress' ? { rows: half, columns: half } : undefined;
  const P = pooled ? half * half : side * side;
  return {
    files,
    difference,
    budget: Math.round(P * family.keeps),
    tower: {
      cls,
      keepsCls: cls && dropped === 0,
      scores: scoresOf(parts, token),
      selectedLayer: parts.blocks,
      grid,
      ...(pooled && { pooled }),
      width: D,
      keyWidth: keys!.dims[2]!,
    },
  };
}

function scoresOf({ attention }: VisionParts, token: ClassToken): Manifest['tower']['scores'] {
  if (!attention) return 'similarity';
  return token === 'attention' ? 'cls-attention' : 'attention';
}

/** From the tokens that come out, and those that the attention sees. */
function findClassToken(N: number, seen: number): ClassToken {
  if (isSquare(N)) return seen === N + 1 ? 'attention' : 'none';
  if (isSquare(N - 1)) return 'first';
  throw new InputError(
    `the tower gives ${N} tokens; expected a square number of patches, and perhaps a CLS token`,
  );
}

/** An encoder whose connector joins squares of patches: nothing is cut, VisionZip works behind it. */
async function prepareConnector(task: Task) {
  const { path, family, graphs, threads, step } = task;
  const source = graphs.graphs.vision;
  step(`reading scores and keys out of ${source}`);
  const { height, width } = createPreprocessor(await readPreprocessor(path));
  const files = { visionTower: nameFile(source, 'tower') };
  const tower = join(path, files.visionTower);
  const expose = async (squares: Squares | undefined) => {
    const model = await readGraph(join(path, source));
    castEdges(new Graph(model.graph!));
    const pixels = ['batch', 3, height, width];
    await writeGraph(tower, model, exposeConnector(model.graph!, opsetOf(model), pixels, squares));
    return runOnce(tower, picture(height, width), threads);
  };
  // How many patches become a token shows in the number of keys.
  const { hidden, keys } = await expose(undefined);
  const [, T = 0, H = 0] = hidden!.dims;
  const [N, keyWidth] = keys!.dims.slice(1) as [number, number];
  const side = Math.sqrt(T);
  const squares = { side, edge: Math.sqrt(N / T) };
  if (![T, N, N / T].every(isSquare))
    throw new InputError(`the encoder makes ${T} tokens of ${N} patches; expected squares of patches`);
  await expose(squares);
  step(`comparing ${source}`);
  const shape = { height, width, patches: T };
  const difference = await withSettledEdges(task, source, (whole) =>
    compareWrapped(whole, tower, shape, picturesAtOnce(graphs.dtypes.vision), threads),
  );
  return {
    files,
    difference,
    budget: Math.round(T * family.keeps),
    tower: {
      ...withoutClass,
      grid: { rows: Math.sqrt(N), columns: Math.sqrt(N) },
      pooled: { rows: side, columns: side },
      width: H,
      keyWidth,
    },
  };
}

/** A video in 16:9, edges in pixels, for towers that take pictures in their own proportions. */
const USUAL = { width: 640, height: 360, frames: 8, isStill: false };

/** An encoder that takes pictures in their own proportions, and whose merger joins squares of patches. */
async function prepareMerger(task: Task) {
  const { path, family, graphs, threads, step } = task;
  const source = graphs.graphs.vision;
  step(`reading scores and keys out of ${source}`);
  const settings = { ...(await readNativePreprocessor(path, family.native!)), ...family.native! };
  const {
    patch_size: patchSize,
    merge_size: mergeSize,
    temporal_patch_size: framesTogether,
  } = settings.video;
  const files = { visionTower: nameFile(source, 'tower') };
  const tower = join(path, files.visionTower);
  const model = await readGraph(join(path, source));
  castEdges(new Graph(model.graph!));
  const native = { patchSize, mergeSize, framesTogether, ...family.native! };
  await writeGraph(tower, model, exposeMerger(model.graph!, opsetOf(model), native));
  step(`comparing ${source}`);
  const { difference, width, keyWidth } = await withSettledEdges(task, source, (whole) =>
    compareMerger(whole, tower, native, threads),
  );
  const grid = createNativeResolution(settings).gridOf(USUAL);
  return {
    files,
    difference,
    budget: Math.ceil(grid.rows * grid.columns * family.keeps),
    share: family.keeps,
    tower: { ...withoutClass, grid, native, width, keyWidth },
  };
}

const withoutClass = { cls: false, keepsCls: false, scores: 'attention' as const, selectedLayer: -1 };

/** Pictures to compare at once. */
function picturesAtOnce(dtype: Dtype): number {
  return scalesOverAll(dtype) ? 1 : 2;
}

function isSquare(count: number): boolean {
  return Number.isInteger(Math.sqrt(count));
}
