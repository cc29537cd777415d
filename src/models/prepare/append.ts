import { attribute, Graph, valueInfo } from '../graph/graph.js';
import type { ModelProto } from '../graph/onnx_pb.js';
import { opsetOf } from '../graph/write.js';
import { CACHELESS_LAYERS, type PublishedConfig } from '../published-config.js';
import { attendInPlace } from './attend.js';
import { findCachedAttentions, type Growth } from './cached-attention.js';
import { foldShapes } from './fold-shapes.js';
import { Lengths } from './lengths.js';
import { fuseRotations } from './rotary.js';

/** Pad, Slice and Softmax in the form in which they are added. */
const LEAST_OPSET = 13;
/** Kinds of layers in which a token sees all that is before it, or that keep no keys. */
const FULL = ['full_attention', ...CACHELESS_LAYERS];

/**
 * Lets a decoder give the keys and values of new tokens alone, `appended.*` (B, heads, S, width), instead of the whole
 * longer cache, `present.*`, and read its past where it lies. Else a step joins past and new, repeats both for each head
 * of the queries and copies them out of ONNX Runtime, which together can take longer than all weights.
 *
 * The past's inputs may then be longer than what they hold: in use is what `attention_mask` covers beside the new
 * tokens. For a batch of one, without padding.
 *
 * Says whether the graph is built so that it can be done; if not, it is left as it is.
 */
export function appendToCache(model: ModelProto, config: PublishedConfig): boolean {
  const graph = new Graph(model.graph!);
  const attentions =
    opsetOf(model) >= LEAST_OPSET && seesAll(config) ? findCachedAttentions(graph) : undefined;
  if (!attentions) return false;
  const lengths = new Lengths(graph, attentions[0]!.keys.input.name);
  const growths = attentions.flatMap(({ keys, values }) => [keys, values]);
  for (const growth of growths) answerShapes(graph, growth, lengths);
  for (const attention of attentions)
    graph.reroute(attention.mixed, attendInPlace(graph, attention, lengths));
  for (const growth of growths) giveAdded(graph, growth);
  fuseRotations(graph, lengths);
  foldShapes(graph, lengths);
  importMicrosoft(model);
  graph.sort();
  return true;
}

/** Whether each token sees all before it, in every layer with a cache: what a window hides shows in no short comparison. */
function seesAll({ text_config, ...config }: PublishedConfig): boolean {
  const text: Record<string, unknown> = text_config ?? config;
  const layers = (text.layer_types as string[] | undefined) ?? [];
  if (!layers.every((layer) => FULL.includes(layer)) || text.attention_chunk_size) return false;
  // Mistral's configuration class has a window where the file says nothing.
  const window = text.sliding_window === undefined ? text.model_type === 'mistral' : text.sliding_window;
  return !window || text.use_sliding_window === false;
}

/** Nodes that ask how long the past is, or all, are told what is in use. */
function answerShapes(graph: Graph, { input, present, heads, width }: Growth, lengths: Lengths): void {
  for (const [tensor, length] of [[input.name, lengths.past] as const, [present, lengths.all] as const])
    for (const node of lengths.askers(tensor)) {
      const [start, end] = ['start', 'end'].map((name) => attribute(node, name)?.i);
      const shape = lengths.shape(
        [1, heads, length, width],
        Number(start ?? 0n),
        end === undefined ? undefined : Number(end),
      );
      graph.reroute(node.output[0]!, shape);
    }
}

/** What is new goes out instead of all. */
function giveAdded(graph: Graph, { added, heads, width, output }: Growth): void {
  const { elemType } = output.type!.tensorType!;
  const name = output.name.replace('present', 'appended');
  graph.put(name, 'Identity', [added]);
  const info = valueInfo(name, elemType, ['batch', heads, 'sequence', width]);
  graph.proto.output = graph.proto.output.map((one) => (one === output ? info : one));
}

function importMicrosoft({ opsetImport }: ModelProto): void {
  const [standard] = opsetImport;
  if (!opsetImport.some(({ domain }) => domain === 'com.microsoft'))
    opsetImport.push({ ...standard!, domain: 'com.microsoft', version: 1n });
}
