import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Family } from '../families/family.js';
import { Graph } from '../graph/graph.js';
import type { GraphProto } from '../graph/onnx_pb.js';
import { readGraph } from '../graph/read.js';
import { writeGraph } from '../graph/write.js';
import type { Graphs } from '../layout.js';
import type { PublishedConfig } from '../published-config.js';
import { fixCacheShape } from './cache.js';
import { castEdges } from './edges.js';

/** One preparation under way. */
export interface Task {
  readonly path: string;
  readonly config: PublishedConfig;
  readonly family: Family;
  readonly graphs: Graphs;
  readonly threads: number;
  readonly step: (what: string) => void;
}

/** Makes edges float32 and cache inputs of a fixed shape. Says whether there were others. */
export function settleEdges(graph: GraphProto, config: PublishedConfig): boolean {
  const [cast, fixed] = [castEdges(new Graph(graph)), fixCacheShape(graph, config)];
  return cast || fixed;
}

/** Lends a file of the untouched graph with settled edges: the original where it has them, else a copy that lasts as long. */
export async function withSettledEdges<T>(
  { path, config }: Task,
  source: string,
  use: (whole: string) => Promise<T>,
): Promise<T> {
  const model = await readGraph(join(path, source));
  if (!settleEdges(model.graph!, config)) return use(join(path, source));
  const file = join(path, nameFile(source, 'untouched'));
  await writeGraph(file, model, model.graph!);
  return use(file).finally(() => rm(file));
}

/** onnx/vision_encoder_q4.onnx → onnx/visionzip_tower_q4.onnx */
export function nameFile(source: string, part: string): string {
  const suffix =
    /^onnx\/(?:vision_encoder|embed_tokens|decoder_model_merged)(.*)\.onnx$/.exec(source)?.[1] ?? '';
  return `onnx/visionzip_${part}${suffix}.onnx`;
}
