import { join } from 'node:path';
import { InputError } from '../../errors.js';
import { readPreprocessor } from '../folder.js';
import { Graph } from '../graph/graph.js';
import { readGraph } from '../graph/read.js';
import { opsetOf, writeGraph } from '../graph/write.js';
import { type Dtype, scalesOverAll } from '../layout.js';
import type { Manifest } from '../manifest.js';
import { createPreprocessor } from '../preprocess.js';
import { type ClassToken, cutProjector, cutTower, wrapEncoder } from './cut.js';
import { castEdges } from './edges.js';
import { nameFile, type Task, withSettledEdges } from './task.js';
import { compareVision, picture, runOnce } from './verify.js';
import { findVisionParts, type VisionParts } from './vision.js';

/** Cuts or wraps the vision encoder, and says what a manifest does of it. */
export async function prepareVision(task: Task) {
  return task.family.order === 'project' ? prepareWholeEncoder(task) : cutEncoder(task);
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

/** A family whose tokens are only compressed by their encoder: nothing is cut. */
async function prepareWholeEncoder({ path, graphs, threads, step }: Task) {
  const source = graphs.graphs.vision;
  step(`wrapping ${source}`);
  const preprocessor = await readPreprocessor(path);
  const { height, width } = createPreprocessor(preprocessor);
  const model = await readGraph(join(path, source));
  castEdges(new Graph(model.graph!));
  const files = { visionTower: nameFile(source, 'tower') };
  const tower = join(path, files.visionTower);
  await writeGraph(tower, model, wrapEncoder(model.graph!, opsetOf(model), ['batch', 3, height, width]));
  const { hidden } = await runOnce(tower, picture(height, width), threads);
  const [, T = 0, H = 0] = hidden!.dims;
  const side = Math.sqrt(T);
  if (!isSquare(T)) throw new InputError(`the encoder gives ${T} tokens; expected a square number`);
  const grid = { rows: side, columns: side };
  return {
    files,
    // It computes what the untouched encoder does.
    difference: undefined,
    budget: T,
    tower: {
      cls: false,
      keepsCls: false,
      scores: 'attention' as const,
      selectedLayer: -1,
      grid,
      width: H,
      keyWidth: 0,
    },
  };
}

/** Pictures to compare at once. */
function picturesAtOnce(dtype: Dtype): number {
  return scalesOverAll(dtype) ? 1 : 2;
}

function isSquare(count: number): boolean {
  return Number.isInteger(Math.sqrt(count));
}
