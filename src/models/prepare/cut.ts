import { attribute, elementTypes, Graph, intAttribute, intsAttribute, valueInfo } from '../graph/graph.js';
import type { GraphProto } from '../graph/onnx_pb.js';
import type { Attention, FusedAttention, PackedAttention, UnfusedAttention } from './attention.js';
import { Maths } from './maths.js';
import type { VisionParts } from './vision.js';

const END = Number.MAX_SAFE_INTEGER;

/** Where a tower's CLS token is: nowhere, first among its tokens, or in its attention alone, as in Mini-Gemini. */
export type ClassToken = 'none' | 'first' | 'attention';

/** pixel_values (B, 3, H, W) → hidden (B, N, D), keys (B, N, K) and scores (B, P). */
export function cutTower(parts: VisionParts, cls: ClassToken): GraphProto {
  const { graph, pixels, feature } = parts;
  const maths = new Maths(graph, parts.opset);
  const { keys, scores } = parts.attention
    ? byAttention(maths, parts.attention, pixels.name, cls)
    : bySimilarity(maths, feature);
  graph.put('hidden', 'Cast', [feature], [intAttribute('to', elementTypes.float32)]);
  graph.put('keys', 'Identity', [keys]);
  graph.put('scores', 'Identity', [scores]);
  return graph.between(
    [pixels],
    [
      valueInfo('hidden', elementTypes.float32, ['batch', 'tokens', 'width']),
      valueInfo('keys', elementTypes.float32, ['batch', 'tokens', 'key_width']),
      valueInfo('scores', elementTypes.float32, ['batch', 'patches']),
    ],
    'vision_tower',
  );
}

/**
 * Scores (B, P) and keys (B, N, K) from attention: with CLS its row, summed over heads; without, the attention that each
 * token receives, averaged over heads and queries (arXiv 2412.04467, section 3.2 and appendix A.2).
 */
function byAttention(maths: Maths, attention: Attention, pixels: string, cls: ClassToken) {
  const { keys, probabilities } =
    attention.kind === 'unfused'
      ? expose(maths, attention, pixels)
      : attend(maths, attention, cls !== 'none');
  const spent = maths.toFloat32(probabilities);
  const mean = maths.reduce('ReduceMean', maths.toFloat32(keys), [2]);
  return {
    keys: cls === 'attention' ? maths.slice(mean, [1], [END], [1]) : mean,
    scores:
      cls !== 'none'
        ? maths.reduce('ReduceSum', maths.slice(spent, [0, 1], [1, END], [2, 3]), [1, 2])
        : maths.reduce('ReduceMean', spent, [1, 2]),
  };
}

/**
 * What an attention of MatMul, Softmax, MatMul shows: keys by heads (B, N, h, K) and its probabilities (B, h, N, N), which
 * older exports have as (B · h, N, N). `pixels` says B.
 */
function expose(maths: Maths, { keys, probabilities }: UnfusedAttention, pixels: string) {
  const { graph } = maths;
  const batch = maths.size(pixels, 0);
  const tokens = maths.size(probabilities, -1);
  const shape = [batch, graph.int64s([-1]), tokens, tokens];
  const byHeads = graph.add('Reshape', [
    probabilities,
    graph.add('Concat', shape, [intAttribute('axis', 0)]),
  ]);
  return { keys: maths.intoHeads(keys, batch, tokens, maths.size(byHeads, 1)), probabilities: byHeads };
}

/**
 * For a tower without attention: the score of a token is the cosine of its feature and the frame's mean feature, its key
 * the feature. Ours, not the paper's.
 */
function bySimilarity(maths: Maths, feature: string) {
  const { graph } = maths;
  const keys = maths.toFloat32(feature);
  const mean = maths.reduce('ReduceMean', keys, [1], true);
  const product = (a: string, b: string) => maths.reduce('ReduceSum', graph.add('Mul', [a, b]), [2]);
  const lengths = graph.add('Sqrt', [graph.add('Mul', [product(keys, keys), product(mean, mean)])]);
  return { keys, scores: graph.add('Div', [product(keys, mean), lengths]) };
}

/** hidden (T, D) → visual_tokens (T, H). */
export function cutProjector({ graph: whole, opset, projected, output }: VisionParts): GraphProto {
  const part = whole.between(
    [valueInfo(projected, elementTypes.float32, [])],
    [valueInfo(output, elementTypes.float32, [])],
    '',
  );
  part.input = [];
  // Shapes that the export wrote down are those of all tokens.
  part.valueInfo = [];
  const graph = new Graph(part);
  const maths = new Maths(graph, opset);
  graph.put(
    projected,
    'Cast',
    [maths.unsqueeze('hidden')],
    [intAttribute('to', whole.elementType(projected))],
  );
  graph.put('visual_tokens', 'Flatten', [output], [intAttribute('axis', -1)]);
  return graph.between(
    [valueInfo('hidden', elementTypes.float32, ['tokens', 'width'])],
    [valueInfo('visual_tokens', elementTypes.float32, ['tokens', 'hidden_size'])],
    'projector',
  );
}

/** What a fused attention does not show: keys by heads (B, N, h, K) and its probabilities; with CLS its row alone. */
export function attend(maths: Maths, attention: FusedAttention | PackedAttention, cls: boolean) {
  const { graph } = maths;
  const { node, bias } = attention;
  const { queries, keys } = attention.kind === 'packed' ? unpack(maths, attention) : attention;
  const heads = graph.int64s([Number(attribute(node, 'num_heads')!.i)]);
  const width = bias ? Number(graph.constant(bias)!.dims[0]) / 3 : 0;
  const biased = (tensor: string, part: number): string =>
    bias ? graph.add('Add', [tensor, maths.slice(bias, [part * width], [(part + 1) * width], [0])]) : tensor;
  const split = (tensor: string, like: string) =>
    maths.intoHeads(maths.toFloat32(tensor), maths.size(like, 0), maths.size(like, 1), heads);
  const k = split(biased(keys, 1), keys);
  const rows = cls ? maths.slice(queries, [0], [1], [1]) : queries;
  const q = split(biased(rows, 0), rows);
  const turned = (tensor: string, perm: number[]) =>
    graph.add('Transpose', [tensor], [intsAttribute('perm', perm)]);
  const product = graph.add('MatMul', [turned(q, [0, 2, 1, 3]), turned(k, [0, 2, 3, 1])]);
  const scale = attribute(node, 'scale')?.f;
  const scaled = scale
    ? graph.add('Mul', [product, graph.float32(scale)])
    : graph.add('Div', [product, graph.add('Sqrt', [maths.toFloat32(maths.size(k, 3))])]);
  return { keys: k, probabilities: graph.add('Softmax', [scaled], [intAttribute('axis', -1)]) };
}

/** Queries and keys (B, N, D), projected once more and without their biases. */
function unpack(maths: Maths, { tokens, weights }: PackedAttention) {
  const { graph } = maths;
  const width = Number(graph.constant(weights)!.dims[1]) / 3;
  const project = (part: number) =>
    graph.add('MatMul', [tokens, maths.slice(weights, [part * width], [(part + 1) * width], [1])]);
  return { queries: project(0), keys: project(1) };
}
