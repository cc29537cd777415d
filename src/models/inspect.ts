import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { GraphProto } from './graph/onnx_pb.js';
import { dtypesOf, type Manifest } from './manifest.js';
import { attentionBytes, type CacheShape, heldBytes, promptBytes, tokenBytes } from './memory.js';

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
 * Estimates what a model adds to a process: its weights; the cache of a usual prompt twice, since a step reads one and
 * writes the next; and the largest attention of the tower for the frames that it takes at once.
 */
export async function measureModel(dir: string, manifest: Manifest): Promise<ModelSize> {
  const { files, contextLength } = manifest;
  const { readGraph } = await import('./graph/read.js');
  const vision = [files.visionTower, files.projector, files.projectorTuned].filter(
    (file) => file !== undefined,
  );
  const decoderGraph = (await readGraph(join(dir, files.decoder))).graph!;
  const decoder = cacheShape(decoderGraph);
  const dtypes = dtypesOf(manifest);
  const weightBytes = {
    vision: heldBytes('vision', dtypes.vision, await weightsOf(dir, vision)),
    language:
      (await weightsOf(dir, [files.embedTokens])) +
      heldBytes('decoder', dtypes.decoder, await weightsOf(dir, [files.decoder])),
  };
  const sum = weightBytes.vision + weightBytes.language;
  return {
    decoder,
    weightBytes,
    cacheBytes: tokenBytes(decoder) * contextLength,
    memoryBytes: sum + promptBytes(decoder, contextLength) + towerBytes(manifest),
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

function cacheShape({ input }: GraphProto): CacheShape {
  const keys = input.filter(({ name }) => /^past_key_values\.\d+\.key$/.test(name));
  const dims = keys[0]?.type?.tensorType?.shape?.dim ?? [];
  return {
    layers: keys.length,
    kvHeads: Number(dims[1]?.dimValue ?? 0n),
    headWidth: Number(dims[3]?.dimValue ?? 0n),
  };
}

/** Bytes of the weights that some graphs use; a weight that two of them use counts twice, as it is held twice. */
async function weightsOf(dir: string, paths: readonly string[]): Promise<number> {
  const { readGraph } = await import('./graph/read.js');
  let bytes = 0;
  for (const path of paths) {
    const { graph } = await readGraph(join(dir, path));
    bytes += (await stat(join(dir, path))).size;
    const folder = dirname(join(dir, path));
    for (const { externalData } of allWeights(graph!)) {
      const entry = Object.fromEntries(externalData.map(({ key, value }) => [key, value]));
      // Weights inside this file are in its size already.
      if (entry.location && join(folder, entry.location) !== join(dir, path))
        bytes += Number(entry.length ?? 0);
    }
  }
  return bytes;
}

function allWeights(graph: GraphProto): GraphProto['initializer'] {
  const branches = graph.node.flatMap(({ attribute }) => attribute.flatMap(({ g }) => (g ? [g] : [])));
  return [...graph.initializer, ...branches.flatMap(allWeights)];
}
