import { InputError } from '../../errors.js';
import { elementTypes, Graph, valueInfo } from '../graph/graph.js';
import type { GraphProto, NodeProto, ValueInfoProto } from '../graph/onnx_pb.js';
import { type Attention, CONVOLUTIONS, findAttentions, isData, PROJECTIONS } from './attention.js';

/** Where a vision encoder with the projector inside is to be cut, and which attention VisionZip reads. */
export interface VisionParts {
  readonly graph: Graph;
  /** Version of the standard operators. */
  readonly opset: number;
  readonly pixels: ValueInfoProto;
  /** The block whose output is the selected feature; none in a convolutional tower. */
  readonly attention: Attention | undefined;
  /** How many attention blocks run. */
  readonly blocks: number;
  /** The tower's output (B, N, D), CLS included. */
  readonly feature: string;
  /** What enters the projector (B, P, D): the feature, without CLS where the family drops it. */
  readonly projected: string;
  /** The projector's output. */
  readonly output: string;
}

const RESHAPES = new Set(['Reshape', 'Transpose', 'Concat', 'Flatten']);
const SKIPS = new Set(['SkipLayerNormalization', 'SkipSimplifiedLayerNormalization']);
const SELECTS = new Set(['Slice', 'Gather', 'GatherND', 'Split']);
const NEITHER_NORM = new Set([...CONVOLUTIONS, ...SELECTS, ...RESHAPES]);

/** Finds the parts of a vision encoder by its structure. Throws an InputError that says what was looked for. */
export function findVisionParts(proto: GraphProto, opset: number): VisionParts {
  const graph = new Graph(proto);
  const [pixels] = proto.input.filter(({ name }) => !graph.constant(name));
  const output = proto.output[0]?.name;
  if (!pixels || !output) throw new InputError('the vision encoder must have an input and an output');
  const used = graph.ancestors([output]);
  const attentions = findAttentions(graph).filter(({ node }) => used.has(node.output[0]!));
  const last = attentions.at(-1);
  // Where convolutions follow, what comes out is not what the attention saw.
  const attention = last && !convolvesAfter(graph, last.node.output[0]!, used) ? last : undefined;
  const path = bottlenecks(graph, last?.node.output[0] ?? pixels.name, output);
  const end = path.findLastIndex((tensor) => isResidual(graph, tensor));
  if (end < 0) throw unknownTower(proto);
  // Behind the last block may come a norm; a convolutional tower goes on until its map is flattened and projected.
  const belongs = attention ? isNorm : isConvolution;
  let feature = end;
  while (feature + 1 < path.length && belongs(opsBetween(graph, path[feature]!, path[feature + 1]!)))
    feature++;
  let projected = feature;
  while (
    projected + 1 < path.length &&
    isSelection(opsBetween(graph, path[projected]!, path[projected + 1]!))
  )
    projected++;
  return {
    graph,
    opset,
    pixels,
    attention,
    blocks: attention ? attentions.length : 0,
    feature: path[feature]!,
    projected: path[projected]!,
    output,
  };
}

function convolvesAfter(graph: Graph, tensor: string, used: ReadonlySet<string>): boolean {
  const after = [...graph.descendants(tensor)].filter((one) => used.has(one));
  return after.some((one) => CONVOLUTIONS.has(graph.maker(one)?.opType ?? ''));
}

function unknownTower(proto: GraphProto): InputError {
  const found = [...new Set(proto.node.map(({ opType }) => opType))].sort().join(', ');
  return new InputError(
    'the vision encoder must hold attention (MatMul, Softmax, MatMul, or MultiHeadAttention) or blocks with ' +
      `residual additions; its operators are ${found}`,
  );
}

/** The tensors that everything from `from` to `to` passes, in order, `to` last. */
function bottlenecks(graph: Graph, from: string, to: string): string[] {
  const reached = graph.descendants(from);
  const onWay = new Set([...graph.ancestors([to])].filter((tensor) => reached.has(tensor)));
  const users = (tensor: string) =>
    graph.users(tensor).filter(({ output }) => output.some((made) => onWay.has(made))).length;
  const left = new Map([...onWay].map((tensor) => [tensor, users(tensor)]));
  const live = new Set([from]);
  const path: string[] = [];
  for (const node of inOrder(graph, onWay, from)) {
    for (const input of new Set(node.input)) {
      if (!left.has(input)) continue;
      left.set(input, left.get(input)! - 1);
      if (left.get(input) === 0) live.delete(input);
    }
    for (const output of node.output) if (onWay.has(output)) live.add(output);
    if (live.size === 1) path.push([...live][0]!);
  }
  return path;
}

/** The nodes that make some tensors, each behind those that it needs. */
function inOrder(graph: Graph, tensors: ReadonlySet<string>, from: string): NodeProto[] {
  const outputs = [...tensors].map((name) => valueInfo(name, elementTypes.float32, []));
  const given = [valueInfo(from, elementTypes.float32, [])];
  return graph
    .between(given, outputs, '')
    .node.filter(({ output }) => output.some((name) => tensors.has(name)));
}

/** x + f(x): both sides depend on the picture. ONNX Runtime's own operators have it together with the norm behind it. */
function isResidual(graph: Graph, tensor: string): boolean {
  const { opType, input } = graph.maker(tensor)!;
  if (SKIPS.has(opType)) return true;
  return opType === 'Add' && input.every((side) => isData(graph, side));
}

function opsBetween(graph: Graph, from: string, to: string): string[] {
  const reached = graph.descendants(from);
  return [...graph.ancestors([to], ({ output }) => !output.includes(from))]
    .filter((tensor) => tensor !== from && reached.has(tensor))
    .map((tensor) => graph.maker(tensor)!.opType);
}

/** A layer norm or a part of one, or a cast. */
function isNorm(ops: readonly string[]): boolean {
  return isConvolution(ops) && ops.every((op) => !NEITHER_NORM.has(op) && !op.includes('elu'));
}

/** Anything before the projector's first product. */
function isConvolution(ops: readonly string[]): boolean {
  return ops.every((op) => !PROJECTIONS.has(op) && op !== 'DynamicQuantizeLinear');
}

/** Leaving CLS away. */
function isSelection(ops: readonly string[]): boolean {
  return ops.every((op) => SELECTS.has(op) || op === 'Cast' || op === 'Identity');
}
