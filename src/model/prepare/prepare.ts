import { readdir, rm, writeFile } from 'node:fs/promises';
import { basename, join, relative, resolve } from 'node:path';
import { splitBudget } from '../../pipeline/budget.js';
import { InputError } from '../../pipeline/errors.js';
import { createPreprocessor, preprocessorConfigSchema } from '../../pipeline/preprocess.js';
import { manifestFile, readJson, readModelFolder } from '../folder.js';
import { Graph } from '../graph/graph.js';
import { readGraph } from '../graph/read.js';
import { opsetOf, writeGraph } from '../graph/write.js';
import { chooseGraphs, type Dtype, type Graphs, NEWLINE_FILE } from '../layout.js';
import { type Manifest, manifestSchema } from '../manifest.js';
import { cutProjector, cutTower, wrapEncoder } from './cut.js';
import { castEdges } from './edges.js';
import { contextLength, type Family, findFamily, publishedConfigSchema } from './families.js';
import { cutLogits } from './logits.js';
import { compareDecoders, compareVision, type Difference, picture, runOnce } from './verify.js';
import { findVisionParts } from './vision.js';
import { describeWeights } from './weights.js';

export interface PrepareOptions {
  /** Default: the first of q4, int8, q4f16, fp16 and fp32 that is there. */
  readonly dtype?: Dtype;
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

/**
 * The largest difference that prepared graphs may show, |a − b| / (1 + |b|). In int8 the head of the language model scales
 * over one position instead of all.
 */
const LIMITS: Readonly<Record<Dtype, number>> = { fp32: 1e-3, fp16: 0.02, q4: 0.02, q4f16: 0.02, int8: 0.5 };
/** Of a frame's tokens, by default: 64 of 576, the paper's smallest budget for LLaVA-1.5. */
const DEFAULT_SHARE = 1 / 9;

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
  const graphs = chooseGraphs(there, options.dtype, basename(path));
  const hasNewline = family.newline !== 'none' && there.includes(NEWLINE_FILE);
  if (family.newline !== 'none' && !hasNewline)
    options.onStep?.(`without the newline embedding, which this export lacks (${NEWLINE_FILE})`);
  const task: Task = {
    path,
    family,
    graphs,
    threads: options.threads ?? 1,
    step: options.onStep ?? (() => {}),
  };
  await rm(join(path, manifestFile), { force: true });
  // What loading needs beside the graphs: better missed now than by a worker.
  await readModelFolder(path);

  const vision = await prepareVision(task);
  const decoder = await prepareDecoder(task);
  const manifest: Manifest = {
    formatVersion: 1,
    name: basename(path),
    family: family.name,
    dtype: graphs.dtype,
    files: {
      ...vision.files,
      embedTokens: await prepareEmbedding(task),
      decoder: decoder.file,
      ...(hasNewline && { newline: NEWLINE_FILE }),
    },
    tower: vision.tower,
    order: family.order,
    frames: family.frames,
    newlineTokens: hasNewline ? family.newline : 'none',
    contextLength: contextLength(config),
    frameTimes: false,
    defaults: { frames: family.frameCount, compression: splitBudget(vision.budget) },
    weights: await describeWeights(path, graphs.files),
  };
  const differences = [...(vision.difference ? [vision.difference] : []), decoder.difference];
  for (const { what, largest } of differences) {
    const limit = LIMITS[graphs.dtype];
    if (!(largest <= limit))
      throw new Error(`${what} differ by ${largest} from the untouched graph's, more than ${limit}`);
  }
  await writeFile(join(path, manifestFile), `${JSON.stringify(manifestSchema.parse(manifest), null, 2)}\n`);
  return { manifest, differences };
}

interface Task {
  readonly path: string;
  readonly family: Family;
  readonly graphs: Graphs;
  readonly threads: number;
  readonly step: (what: string) => void;
}

async function prepareVision(task: Task) {
  return task.family.order === 'project' ? prepareWholeEncoder(task) : cutEncoder(task);
}

async function cutEncoder({ path, family, graphs, threads, step }: Task) {
  const source = graphs.graphs.vision_encoder;
  step(`cutting ${source}`);
  const preprocessor = await readJson(path, 'preprocessor_config.json', preprocessorConfigSchema);
  const { height, width } = createPreprocessor(preprocessor);
  const files = { visionTower: ours(source, 'tower'), projector: ours(source, 'projector') };
  const [tower, projector] = [join(path, files.visionTower), join(path, files.projector)];
  const cut = async (cls: boolean) => {
    const model = await readGraph(join(path, source));
    castEdges(new Graph(model.graph!));
    const parts = findVisionParts(model.graph!, opsetOf(model));
    await writeGraph(tower, model, cutTower(parts, cls));
    await writeGraph(projector, model, cutProjector(parts));
    return parts;
  };
  // Whether there is a CLS token shows in the number of tokens that come out.
  let parts = await cut(false);
  const { hidden, keys } = await runOnce(tower, picture(height, width), threads);
  const [, N = 0, D = 0] = hidden!.dims;
  const cls = !isSquare(N);
  if (cls && !isSquare(N - 1))
    throw new InputError(
      `the tower gives ${N} tokens; expected a square number of patches, and perhaps a CLS token`,
    );
  if (cls) parts = await cut(true);
  step(`comparing ${source}`);
  const dropped = parts.projected !== parts.feature && cls ? 1 : 0;
  const shape = { height, width, dropped };
  const difference = await withFloatEdges(path, source, (whole) =>
    compareVision(whole, tower, projector, shape, dtypeBatch(graphs.dtype), threads),
  );
  const side = Math.sqrt(cls ? N - 1 : N);
  const grid = { rows: side, columns: side };
  const half = Math.ceil(side / 2);
  const pooled = family.order === 'project-pool-compress' ? { rows: half, columns: half } : undefined;
  const P = pooled ? half * half : side * side;
  return {
    files,
    difference,
    budget: Math.round(P * DEFAULT_SHARE),
    tower: {
      cls,
      keepsCls: cls && dropped === 0,
      scores: parts.attention ? ('attention' as const) : ('similarity' as const),
      selectedLayer: parts.blocks,
      grid,
      ...(pooled && { pooled }),
      width: D,
      keyWidth: keys!.dims[2]!,
    },
  };
}

/** A family whose tokens are only compressed by their encoder: nothing is cut. */
async function prepareWholeEncoder({ path, graphs, threads, step }: Task) {
  const source = graphs.graphs.vision_encoder;
  step(`wrapping ${source}`);
  const preprocessor = await readJson(path, 'preprocessor_config.json', preprocessorConfigSchema);
  const { height, width } = createPreprocessor(preprocessor);
  const model = await readGraph(join(path, source));
  castEdges(new Graph(model.graph!));
  const files = { visionTower: ours(source, 'tower') };
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

async function prepareDecoder({ path, graphs, threads, step }: Task) {
  const source = graphs.graphs.decoder_model_merged;
  step(`cutting ${source}`);
  const model = await readGraph(join(path, source));
  castEdges(new Graph(model.graph!));
  cutLogits(model.graph!);
  const file = ours(source, 'decoder');
  await writeGraph(join(path, file), model, model.graph!);
  step(`comparing ${source}`);
  const difference = await withFloatEdges(path, source, (whole) =>
    compareDecoders(whole, join(path, file), threads),
  );
  return { file, difference };
}

async function prepareEmbedding({ path, graphs }: Task): Promise<string> {
  const source = graphs.graphs.embed_tokens;
  const model = await readGraph(join(path, source));
  if (!castEdges(new Graph(model.graph!))) return source;
  const file = ours(source, 'embed_tokens');
  await writeGraph(join(path, file), model, model.graph!);
  return file;
}

/** Lends a file of the untouched graph with float32 edges: the original where it has them, else a copy that lasts as long. */
async function withFloatEdges<T>(
  path: string,
  source: string,
  use: (whole: string) => Promise<T>,
): Promise<T> {
  const model = await readGraph(join(path, source));
  if (!castEdges(new Graph(model.graph!))) return use(join(path, source));
  const file = join(path, ours(source, 'untouched'));
  await writeGraph(file, model, model.graph!);
  return use(file).finally(() => rm(file));
}

/** Pictures to compare at once: an int8 graph scales over all it is given, and is given one. */
function dtypeBatch(dtype: Dtype): number {
  return dtype === 'int8' ? 1 : 2;
}

function isSquare(count: number): boolean {
  return Number.isInteger(Math.sqrt(count));
}

/** onnx/vision_encoder_q4.onnx → onnx/visionzip_tower_q4.onnx */
function ours(source: string, part: string): string {
  const suffix =
    /^onnx\/(?:vision_encoder|embed_tokens|decoder_model_merged)(.*)\.onnx$/.exec(source)?.[1] ?? '';
  return `onnx/visionzip_${part}${suffix}.onnx`;
}

async function filesBelow(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true }).catch((cause) => {
    throw new InputError(`${dir} is no folder that can be read: ${cause.code}`, { cause });
  });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(dir, join(entry.parentPath, entry.name)).replaceAll('\\', '/'));
}
