import { InputError } from '../../errors.js';
import {
  attribute,
  type Dimension,
  elementTypes,
  Graph,
  intAttribute,
  intsAttribute,
  valueInfo,
} from '../graph/graph.js';
import type { GraphProto } from '../graph/onnx_pb.js';
import { type Attention, findAttentions, isData, MOVES } from './attention.js';
import { attend } from './cut.js';
import { Maths } from './maths.js';

/*
 * Encoders in which a connector makes one token of a few patches: nothing can be left out before it, so VisionZip works behind
 * it. The whole graph stays, and scores and keys of the last attention come out beside the tokens, as means over the patches
 * that became one token.
 */

/** A connector that joins squares of patches: where they lie in a picture. */
export interface Squares {
  /** Patches a side of the picture. */
  readonly side: number;
  /** Patches a side of a square. */
  readonly edge: number;
}

/**
 * SmolVLM's encoder, which takes several pictures of an image at once and a mask of their padding, as one that takes a picture
 * at a time: pixel_values (B, 3, H, W) → hidden (B, T, H), keys (B, T, K), scores (B, T). Without `squares`, which show in what
 * comes out, keys and scores are those of the patches.
 */
export function exposeConnector(
  proto: GraphProto,
  opset: number,
  pixels: Dimension[],
  squares: Squares | undefined,
): GraphProto {
  const graph = new Graph(proto);
  const maths = new Maths(graph, opset);
  const output = proto.output[0]!.name;
  const attention = lastAttention(graph, output);
  wrapInputs(maths, proto);
  const { keys, probabilities } = readAttention(maths, attention, maths.size('pixel_values', 0));
  const mean = (tensor: string, width: string[]) =>
    squares ? meanOfSquares(maths, tensor, squares, width) : tensor;
  const scores = maths.reduce('ReduceMean', probabilities, [1, 2]);
  return finish(graph, {
    inputs: [valueInfo('pixel_values', elementTypes.float32, pixels)],
    hidden: output,
    keys: mean(keys, [maths.size(keys, 2)]),
    scores: mean(scores, []),
  });
}

/**
 * Qwen2-VL's encoder and its successors': pixel_values (n, d) of one group of frames and its grid (1, 3) → hidden (1, T, H), keys
 * (1, T, K), scores (1, T). The patches of a token follow each other. Where attention works in windows, patches are in another
 * order inside; the index by which the graph puts tokens right puts right keys and scores, too. What DeepStack adds to later
 * layers stands behind a token's own numbers: (1, T, (1 + layers) · H).
 */
export function exposeMerger(proto: GraphProto, opset: number, mergeSize: number): GraphProto {
  const graph = new Graph(proto);
  const maths = new Maths(graph, opset);
  const inputs = proto.input.filter(({ name }) => !graph.constant(name));
  const [features, deep] = [proto.output[0]!.name, proto.output[1]?.name];
  const attention = lastAttention(graph, features);
  const { keys, probabilities } = readAttention(maths, attention, graph.int64s([1]));
  const order = tokenOrder(graph, features);
  const one = graph.int64s([1]);
  const members = graph.int64s([mergeSize ** 2]);
  const mean = (tensor: string, width: string[]) => {
    const groups = maths.reshape(tensor, [one, graph.int64s([-1]), members, ...width]);
    const tokens = maths.reduce('ReduceMean', groups, [2]);
    return order ? graph.add('Gather', [tokens, order], [intAttribute('axis', 1)]) : tokens;
  };
  const scores = maths.reduce('ReduceMean', probabilities, [1, 2]);
  const whole = deep ? withDeepStack(maths, features, deep) : features;
  return finish(graph, {
    inputs,
    hidden: maths.unsqueeze(whole),
    keys: mean(keys, [maths.size(keys, 2)]),
    scores: mean(scores, []),
  });
}

function lastAttention(graph: Graph, output: string): Attention {
  const used = graph.ancestors([output]);
  const last = findAttentions(graph)
    .filter(({ node }) => used.has(node.output[0]!))
    .at(-1);
  if (last) return last;
  throw new InputError(
    'the vision encoder must hold attention (MatMul, Softmax, MatMul, or MultiHeadAttention) before its connector',
  );
}

/** Keys (B, N, K), averaged over heads, as they meet the queries, and probabilities (B, h, N, N). */
function readAttention(maths: Maths, attention: Attention, batch: string) {
  const { graph } = maths;
  if (attention.kind !== 'unfused') {
    const { keys, probabilities } = attend(maths, attention, false);
    return { keys: maths.reduce('ReduceMean', keys, [2]), probabilities };
  }
  const { product, probabilities: raw } = attention;
  const tokens = maths.size(raw, -1);
  const any = graph.int64s([-1]);
  const probabilities = maths.reshape(maths.toFloat32(raw), [batch, any, tokens, tokens]);
  const heads = maths.size(probabilities, 1);
  const isTurned = Number(attribute(product, 'transB')?.i ?? 0n) === 1;
  const sizes = isTurned ? [batch, heads, tokens, any] : [batch, heads, any, tokens];
  const keys = maths.reduce('ReduceMean', maths.reshape(maths.toFloat32(product.input[1]!), sizes), [1]);
  return {
    keys: isTurned ? keys : graph.add('Transpose', [keys], [intsAttribute('perm', [0, 2, 1])]),
    probabilities,
  };
}

/** (B, side², …) in raster order → (B, (side / edge)², …). */
function meanOfSquares(maths: Maths, tensor: string, { side, edge }: Squares, width: string[]): string {
  const { graph } = maths;
  const sizes = [-1, side / edge, edge, side / edge, edge].map((size) => graph.int64s([size]));
  const means = maths.reduce('ReduceMean', maths.reshape(tensor, [...sizes, ...width]), [2, 4]);
  return maths.reshape(means, [graph.int64s([-1]), graph.int64s([(side / edge) ** 2]), ...width]);
}

/** The index by which a graph takes tokens out of the order of its windows; none where there are no windows. */
function tokenOrder(graph: Graph, output: string): string | undefined {
  for (let tensor = output; ; ) {
    const node = graph.maker(tensor);
    if (!node) return undefined;
    if (node.opType === 'Gather' && isData(graph, node.input[1]!)) return node.input[1]!;
    if (!MOVES.has(node.opType)) return undefined;
    tensor = node.input[0]!;
  }
}

/** features (T, H) and deep (layers, T, H) → (T, (1 + layers) · H). */
function withDeepStack(maths: Maths, features: string, deep: string): string {
  const { graph } = maths;
  const turned = graph.add('Transpose', [deep], [intsAttribute('perm', [1, 0, 2])]);
  const flat = graph.add('Flatten', [turned], [intAttribute('axis', 1)]);
  return graph.add('Concat', [features, flat], [intAttribute('axis', 1)]);
}

/** An image of one picture each, none of it padding. */
function wrapInputs(maths: Maths, proto: GraphProto): void {
  const { graph } = maths;
  const inside = (name: string) => `${name}/several`;
  for (const { name } of proto.input) graph.reroute(name, inside(name));
  graph.put(inside('pixel_values'), 'Unsqueeze', ['pixel_values', graph.int64s([1])]);
  if (!proto.input.some(({ name }) => name === 'pixel_attention_mask')) return;
  const [batch, height, width] = [0, 2, 3].map((axis) => maths.size('pixel_values', axis)) as [
    string,
    string,
    string,
  ];
  const shape = graph.add('Concat', [batch, graph.int64s([1]), height, width], [intAttribute('axis', 0)]);
  const ones = graph.add('Expand', [graph.int64s([1]), shape]);
  graph.put(inside('pixel_attention_mask'), 'Cast', [ones], [intAttribute('to', elementTypes.bool)]);
}

function finish(
  graph: Graph,
  { inputs, ...outputs }: { inputs: GraphProto['input']; hidden: string; keys: string; scores: string },
): GraphProto {
  graph.put('hidden', 'Cast', [outputs.hidden], [intAttribute('to', elementTypes.float32)]);
  graph.put('keys', 'Identity', [outputs.keys]);
  graph.put('scores', 'Identity', [outputs.scores]);
  return graph.between(
    inputs,
    [
      valueInfo('hidden', elementTypes.float32, ['batch', 'tokens', 'hidden_size']),
      valueInfo('keys', elementTypes.float32, ['batch', 'tokens', 'key_width']),
      valueInfo('scores', elementTypes.float32, ['batch', 'tokens']),
    ],
    'vision_tower',
  );
}
