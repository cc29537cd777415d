import type { Graph } from '../graph/graph.js';
import type { NodeProto } from '../graph/onnx_pb.js';
import type { Lengths } from './lengths.js';

/**
 * Lets every Reshape to (B, S, …) copy these two sizes from what it is given, where the export asks some tensor's shape for
 * each, layer by layer: small steps, but hundreds.
 */
export function foldShapes(graph: Graph, lengths: Lengths): void {
  for (const node of graph.nodes('Reshape')) {
    const sizes = sizesOf(graph, node.input[1]!);
    if (sizes) node.input[1] = lengths.ints(0, 0, ...sizes);
  }
}

/** What stands behind B and S in a shape, where it begins with these and goes on with numbers. */
function sizesOf(graph: Graph, shape: string): number[] | undefined {
  const join = graph.maker(shape);
  if (join?.opType !== 'Concat') return undefined;
  const [batch = '', tokens = '', ...others] = join.input;
  if (!isSize(graph, batch, 0) || !isSize(graph, tokens, 1)) return undefined;
  const sizes = others.map((other) => graph.numbers(other));
  return sizes.every((size) => size !== undefined) ? sizes.flat() : undefined;
}

/** Whether a vector holds one size of some tensor. */
function isSize(graph: Graph, tensor: string, axis: number): boolean {
  const node = graph.maker(tensor);
  if (node?.opType === 'Unsqueeze') return isSize(graph, node.input[0]!, axis);
  const [shape = '', start = ''] = node?.input ?? [];
  if (graph.maker(shape)?.opType !== 'Shape' || (node!.opType !== 'Gather' && !isOneLong(graph, node!)))
    return false;
  return graph.numbers(start)?.[0] === axis;
}

function isOneLong(graph: Graph, { opType, input }: NodeProto): boolean {
  const [start, end] = [input[1], input[2]].map((one) => (one ? graph.numbers(one)?.[0] : undefined));
  return opType === 'Slice' && start !== undefined && end === start + 1;
}
