import type { Graph } from '../graph/graph.js';
import type { NodeProto } from '../graph/onnx_pb.js';

/** One attention of a tower, as VisionZip needs it. */
export type Attention = UnfusedAttention | FusedAttention | PackedAttention;

/** MatMul, Softmax, MatMul. */
export interface UnfusedAttention {
  readonly kind: 'unfused';
  readonly node: NodeProto;
  /** Of queries and keys. */
  readonly product: NodeProto;
  /** Attention after softmax (B, heads, N, N). */
  readonly probabilities: string;
  /** k_proj's output (B, N, D), bias included, unscaled. */
  readonly keys: string;
}

/** com.microsoft MultiHeadAttention: queries and keys (B, N, D), whose biases are added inside. */
export interface FusedAttention {
  readonly kind: 'fused';
  readonly node: NodeProto;
  readonly queries: string;
  readonly keys: string;
  /** Biases of queries, keys and values, one after the other (3 D), if any. */
  readonly bias: string | undefined;
}

/** com.microsoft Attention: tokens (B, N, D), and weights (D, 3 D) that project queries, keys and values from them. */
export interface PackedAttention {
  readonly kind: 'packed';
  readonly node: NodeProto;
  readonly tokens: string;
  readonly weights: string;
  readonly bias: string | undefined;
}

/** Nodes that move numbers about, or round them, and leave what they say. */
export const MOVES: ReadonlySet<string> = new Set([
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
/** Products by weights. */
export const PROJECTIONS: ReadonlySet<string> = new Set([
  'MatMul',
  'Gemm',
  'FusedMatMul',
  'MatMulNBits',
  'MatMulInteger',
  'MatMulIntegerToFloat',
  'DynamicQuantizeMatMul',
  'QLinearMatMul',
]);
export const CONVOLUTIONS: ReadonlySet<string> = new Set([
  'Conv',
  'ConvInteger',
  'FusedConv',
  'NhwcFusedConv',
  'QLinearConv',
]);

/** Every block of self-attention of a graph, found by its structure, in the order of the file. */
export function findAttentions(graph: Graph): Attention[] {
  return graph.nodes('Softmax', 'MultiHeadAttention', 'Attention').flatMap((node): Attention[] => {
    if (node.opType === 'Attention') {
      const [tokens = '', weights = '', bias] = node.input;
      return node.domain === 'com.microsoft' && graph.constant(weights)
        ? [{ kind: 'packed', node, tokens, weights, bias: bias || undefined }]
        : [];
    }
    if (node.opType === 'MultiHeadAttention') {
      const [queries = '', keys = '', , bias] = node.input;
      return queries && keys && looksAtItself(graph, queries, keys)
        ? [{ kind: 'fused', node, queries, keys, bias: bias || undefined }]
        : [];
    }
    const product = findProduct(graph, node.input[0]!);
    const probabilities = node.output[0]!;
    if (!product || !feedsProduct(graph, probabilities)) return [];
    const [queries = '', keys = ''] = product.input;
    if (!looksAtItself(graph, queries, keys)) return [];
    return [{ kind: 'unfused', node, product, probabilities, keys: beforeHeads(graph, keys) }];
  });
}

/**
 * Whether keys are projected from the tokens that queries are projected from: nothing but that projection is theirs
 * alone. In Mini-Gemini tokens of one tower also ask features of another.
 */
function looksAtItself(graph: Graph, queries: string, keys: string): boolean {
  const shared = graph.ancestors([queries], seesNumbers);
  const all = graph.ancestors([keys], seesNumbers);
  const own = new Set([...all].filter((tensor) => !shared.has(tensor)).map((tensor) => graph.maker(tensor)));
  const products = [...own].filter(
    (node) => PROJECTIONS.has(node?.opType ?? '') || CONVOLUTIONS.has(node?.opType ?? ''),
  );
  return products.length <= 1;
}

function seesNumbers({ opType }: NodeProto): boolean {
  return opType !== 'Shape';
}

function isInput(graph: Graph, tensor: string): boolean {
  return tensor !== '' && !graph.maker(tensor) && !graph.constant(tensor);
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
  return [...graph.ancestors([tensor], seesNumbers)].some((ancestor) => isInput(graph, ancestor));
}

function areData(graph: Graph, tensors: readonly string[]): boolean {
  return tensors.every((tensor) => isData(graph, tensor));
}
