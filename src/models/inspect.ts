import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { framesAtOnce } from './batch.js';
import { TOGETHER } from './decoder.js';
import { readPreprocessor } from './folder.js';
import { elementTypes, Graph } from './graph/graph.js';
import { workBytes } from './graph/live.js';
import type { GraphProto, TensorProto, ValueInfoProto } from './graph/onnx_pb.js';
import { bytesOf, type Known } from './graph/shapes.js';
import { type Manifest, takesFramesAlone } from './manifest.js';
import {
  attentionBytes,
  BASE_BYTES,
  type CacheShape,
  promptBytes,
  tokenBytes,
  USUAL_TOKENS,
} from './memory.js';
import { createPreprocessor } from './preprocess.js';

/** What a prepared model will take, from its graphs and without loading them. */
export interface ModelSize {
  readonly decoder: CacheShape;
  /** Bytes of weights once they are loaded, wherever they lie. */
  readonly weightBytes: { readonly vision: number; readonly language: number };
  /** Bytes of the cache of one whole context. */
  readonly cacheBytes: number;
  /** What a model adds to its process, about. */
  readonly memoryBytes: number;
}

/**
 * Estimates what a model adds to a process: ONNX Runtime itself; weights as they are held; what the tower computes with for the
 * frames that it takes at once, and their pixels twice, as they come and as they go in; what the decoder computes with for a usual
 * prompt; and the cache of that prompt twice, as `promptBytes` says. Each graph has an arena of its own, which keeps what it
 * took, so all of these are there at the same time.
 */
export async function measureModel(dir: string, manifest: Manifest): Promise<ModelSize> {
  const { files, contextLength } = manifest;
  const open = async (file: string | undefined) => (file === undefined ? [] : [await openGraph(dir, file)]);
  const [tower, decoder] = [await openGraph(dir, files.visionTower), await openGraph(dir, files.decoder)];
  const projectors = [...(await open(files.projector)), ...(await open(files.projectorTuned))];
  const cache = cacheShape(decoder.graph);
  const weightBytes = {
    vision: sum([tower, ...projectors].map(heldWeights)),
    language: sum([await openGraph(dir, files.embedTokens), decoder].map(heldWeights)),
  };
  const pixels = await towerInputs(dir, manifest);
  const terms = [
    BASE_BYTES,
    ...[weightBytes.vision, weightBytes.language],
    ...[workBytes(tower.graph, pixels), 2 * sum([...pixels.values()].map(bytesOf))],
    ...[
      workBytes(decoder.graph, promptInputs(decoder.graph, contextLength)),
      promptBytes(cache, contextLength),
    ],
  ];
  return {
    decoder: cache,
    weightBytes,
    cacheBytes: tokenBytes(cache) * contextLength,
    memoryBytes: sum(terms),
  };
}

/**
 * Whether a model is so small that its graphs need not be read, which takes as long as loading it: its files and its
 * tower's attention are a thirty-second of the memory at most. A prompt's cache is seldom more than twice the weights.
 */
export async function isSmall(dir: string, manifest: Manifest, memoryBytes: number): Promise<boolean> {
  const sizes = Object.values(manifest.files).map(async (file) => (await stat(join(dir, file))).size);
  const bytes = [...(await Promise.all(sizes)), ...manifest.weights.map(({ bytes }) => bytes)];
  return bytes.reduce((sum, size) => sum + size, towerBytes(manifest)) <= memoryBytes / 32;
}

function towerBytes({ tower }: Manifest): number {
  return attentionBytes(tower.grid.rows * tower.grid.columns + (tower.cls ? 1 : 0), tower.width);
}

/** What goes into the tower at once: frames, or a usual video's group of them as rows of patches with their grid. */
async function towerInputs(dir: string, manifest: Manifest): Promise<Map<string, Known>> {
  const { native, grid } = manifest.tower;
  const float = { type: elementTypes.float32 };
  if (!native) {
    const { width, height } = createPreprocessor(await readPreprocessor(dir));
    const frames = takesFramesAlone(manifest) ? 1 : framesAtOnce;
    return new Map([['pixel_values', { ...float, dims: [frames, 3, height, width] }]]);
  }
  const { mergeSize, patchSize, framesTogether, gridInput } = native;
  const [rows, columns] = [grid.rows * mergeSize, grid.columns * mergeSize];
  const patches = rows * columns;
  const numbers = 3 * framesTogether * patchSize ** 2;
  const int64 = { type: elementTypes.int64 };
  // As `feedNative` in vision.ts has it.
  if (gridInput === 'spatial_shapes')
    return new Map<string, Known>([
      ['pixel_values', { ...float, dims: [1, patches, numbers] }],
      ['pixel_attention_mask', { ...int64, dims: [1, patches] }],
      [gridInput, { ...int64, dims: [1, 2], values: [rows, columns] }],
    ]);
  return new Map<string, Known>([
    ['pixel_values', { ...float, dims: [patches, numbers] }],
    [gridInput, { ...int64, dims: [1, 3], values: [1, rows, columns] }],
  ]);
}

/** The last part of a usual prompt behind the others, as decoder.ts feeds it. */
function promptInputs({ input }: GraphProto, contextLength: number): Map<string, Known> {
  const total = Math.min(USUAL_TOKENS, contextLength);
  return new Map(input.map((one) => [one.name, promptInput(one, Math.min(total, TOGETHER), total)]));
}

function promptInput(input: ValueInfoProto, S: number, total: number): Known {
  const type = input.type?.tensorType?.elemType ?? elementTypes.float32;
  const fixed = (input.type?.tensorType?.shape?.dim ?? []).map(({ dimValue }) => Number(dimValue));
  const one = (axis: number) => fixed[axis] || 1;
  const { name } = input;
  if (name.startsWith('past_key_values')) return { type, dims: [1, one(1), total - S, one(3)] };
  if (name === 'inputs_embeds') return { type, dims: [1, S, one(2)] };
  if (name === 'deepstack_embeds') return { type, dims: [one(0), 1, S, one(3)] };
  if (name === 'position_ids') return { type, dims: fixed.length === 3 ? [3, 1, S] : [1, S] };
  if (name === 'attention_mask') return { type, dims: [1, total] };
  if (name === 'use_cache_branch') return { type, dims: [1], values: [total > S ? 1 : 0] };
  if (name === 'num_logits_to_keep') return { type, dims: [], values: [1] };
  return { type, dims: fixed.map((size) => size || 1) };
}

function cacheShape({ input }: GraphProto): CacheShape {
  const keys = input.filter(({ name }) => /^past_key_values\.\d+\.key$/.test(name));
  const dims = keys[0]?.type?.tensorType?.shape?.dim ?? [];
  return {
    layers: keys.length,
    kvHeads: Number(dims[1]?.dimValue ?? 0n),
    headWidth: Number(dims[3]?.dimValue ?? 0n),
  };
}

/** A graph without its weights, and the file that it lies in. */
interface OpenGraph {
  readonly graph: GraphProto;
  readonly path: string;
  readonly bytes: number;
}

async function openGraph(dir: string, file: string): Promise<OpenGraph> {
  const { readGraph } = await import('./graph/read.js');
  const path = join(dir, file);
  return { graph: (await readGraph(path)).graph!, path, bytes: (await stat(path)).size };
}

/**
 * Bytes of a graph's weights once it is loaded; one that two graphs use counts twice, as it is held twice. What lies in
 * another file is mapped, and a multiplication keeps a copy in the order that it likes: the file's bytes, or twice as many of
 * float16, since the CPU's kernels compute in float32. A convolution keeps both, the weights and its copy. Of rows that are
 * looked up, a mapped file's stay on the disk.
 */
function heldWeights({ graph, path, bytes }: OpenGraph): number {
  const web = new Graph(graph);
  let held = bytes;
  for (const tensor of graph.initializer) held += heldOutside(web, tensor, path);
  const branches = graph.node.flatMap(({ attribute }) => attribute.flatMap(({ g }) => (g ? [g] : [])));
  return held + sum(branches.map((branch) => heldWeights({ graph: branch, path, bytes: 0 })));
}

function heldOutside(web: Graph, tensor: TensorProto, path: string): number {
  const entry = Object.fromEntries(tensor.externalData.map(({ key, value }) => [key, value]));
  const length = Number(entry.length ?? 0);
  const isOutside = entry.location !== undefined && join(dirname(path), entry.location) !== path;
  const users = web.users(tensor.name).map(({ opType }) => opType);
  const isLookedUp = users.length > 0 && users.every((opType) => opType === 'Gather');
  const isConvolved = users.some((opType) => /Conv$/.test(opType));
  const isHalf = tensor.dataType === elementTypes.float16 && !isLookedUp;
  // What lies in the graph's own file is in its size already.
  if (!isOutside) return isConvolved || isHalf ? length : 0;
  if (isLookedUp) return 0;
  return (isConvolved ? 2 : 1) * (isHalf ? 2 : 1) * length;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
