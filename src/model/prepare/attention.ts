import type { Graph } from '../graph/graph.js';
import type { NodeProto } from '../graph/onnx_pb.js';

/** One attention of a tower, as VisionZip needs it. */
export type Attention = UnfusedAttention | FusedAttention;

/** MatMul, Softmax, MatMul. */
export interface UnfusedAttention {
  readonly fused: false;
  readonly node: NodeProto;
  /** Attention after softmax (B, heads, N, N). */
  readonly probabilities: string;
  /** k_proj's output (B, N, D), bias included, unscaled. */
  readonly keys: string;
}

/** com.microsoft MultiHeadAttention: queries and keys (B, N, D), whose biases are added inside. */
export interface FusedAttention {
  readonly fused: true;
  readonly node: NodeProto;
  readonly queries: string;
  readonly keys: string;
  /** Biases of queries, keys and values, one after the other (3 D), if any. */
  readonly bias: string | undefined;
}

/** Nodes that move numbers about, or round them, and leave what they say. */
const MOVES = new Set([
  'Transpose',
  'Reshape',
  'Identity',
  'Squeeze',
  'Unsqueeze',
  'Cast',
  'Expand',
  'Dropout',
]);
const PRODUCTS = new Set(['MatMul', 'FusedMatMul']);

/** Every attention block of a graph, found by its structure, in the order of the file. */
export function findAttentions(graph: Graph): Attention[] {
  return graph.nodes('Softmax', 'MultiHeadAttention').flatMap((node): Attention[] => {
    if (node.opType === 'MultiHeadAttention') {
      const [queries = '', keys = '', , bias] = node.input;
      return queries && keys ? [{ fused: true, node, queries, keys, bias: bias || undefined }] : [];
    }
    const product = findProduct(graph, node.input[0]!);
    const probabilities = node.output[0]!;
    if (!product || !feedsProduct(graph, probabilities)) return [];
    return [{ fused: false, node, probabilities, keys: beforeHeads(graph, product.input[1]!) }];
  });
}

/** The product of queries and keys behind a softmax's input, through scaling and masking. */
function findProduct(graph: Graph, tensor: string): NodeProto | undefined {
  const maker = graph.maker(tensor);
  if (!maker) return undefined;
  if (PRODUCTS.has(maker.opType)) return areData(graph, maker.input) ? maker : undefined;
  if (!MOVES.has(maker.opType) && !['Add', 'Mul', 'Div', 'Where', 'Max'].includes(maker.opType))
    return undefined;
  for (const input of maker.input) {
    const found = input && findProduct(graph, input);
    if (found) return found;
  }
  return undefined;
}

function feedsProduct(graph: Graph, tensor: string): boolean {
  return graph
    .users(tensor)
    .some(
      ({ opType, output }) => PRODUCTS.has(opType) || (MOVES.has(opType) && feedsProduct(graph, output[0]!)),
    );
}

/** Back from keys (B, heads, d, N) to the tensor that was split into heads. */
function beforeHeads(graph: Graph, tensor: string): string {
  const maker = graph.maker(tensor);
  if (!maker) return tensor;
  if (MOVES.has(maker.opType)) return beforeHeads(graph, maker.input[0]!);
  if (maker.opType === 'Mul' || maker.opType === 'Div') {
    const [data, ...others] = maker.input.filter((input) => isData(graph, input));
    if (data && others.length === 0) return beforeHeads(graph, data);
  }
  return tensor;
}

/** Whether a tensor's numbers, and not its shape alone, depend on what the graph is given. */
export function isData(graph: Graph, tensor: string): boolean {
  for (const ancestor of graph.ancestors([tensor], ({ opType }) => opType !== 'Shape'))
    if (!graph.maker(ancestor) && !graph.constant(ancestor)) return true;
  return false;
}

function areData(graph: Graph, tensors: readonly string[]): boolean {
  return tensors.every((tensor) => isData(graph, tensor));
}
