import type { Graph } from '../graph/graph.js';
import type { NodeProto } from '../graph/onnx_pb.js';
import type { Lengths } from './lengths.js';

/** Turned heads: x · cos + [−right half of x, left half of x] · sin, each (B, heads, S, width). */
interface Rotation {
  readonly output: string;
  readonly x: string;
  readonly cos: string;
  readonly sin: string;
}

/**
 * Lets com.microsoft's RotaryEmbedding turn queries and keys, in one step instead of seven or more. It takes the cosines and
 * sines that the graph computes, of whatever positions, as a table of as many rows as there are new tokens.
 */
export function fuseRotations(graph: Graph, lengths: Lengths): void {
  for (const { output, x, cos, sin } of graph
    .nodes('Add')
    .flatMap((node) => findRotation(graph, node) ?? [])) {
    const tables = [cos, sin].map((tensor) => halfTable(graph, tensor, lengths));
    const turned = graph.add('RotaryEmbedding', [x, lengths.ints(0), ...tables], [], 'com.microsoft');
    graph.reroute(output, turned);
  }
}

function findRotation(graph: Graph, { input, output }: NodeProto): Rotation | undefined {
  const products = input.map((one) => graph.maker(one));
  if (!products.every((node) => node?.opType === 'Mul')) return undefined;
  for (const [plain, crossed] of [products, [...products].reverse()]) {
    const swapped = crossed!.input.find((one) => graph.maker(one)?.opType === 'Concat');
    const x = swapped && swappedHalves(graph, graph.maker(swapped)!);
    if (!x || !plain!.input.includes(x)) continue;
    const other = (node: NodeProto, one: string) => node.input[node.input.indexOf(one) === 0 ? 1 : 0]!;
    return { output: output[0]!, x, cos: other(plain!, x), sin: other(crossed!, swapped) };
  }
  return undefined;
}

/** What [−right half, left half] was made of. */
function swappedHalves(graph: Graph, { input }: NodeProto): string | undefined {
  const [negated, left] = input.map((one) => graph.maker(one));
  const right = negated?.opType === 'Neg' ? graph.maker(negated.input[0]!) : undefined;
  const [x] = left?.input ?? [];
  const areHalves = [left, right].every((node) => node?.opType === 'Slice' || node?.opType === 'Split');
  return input.length === 2 && areHalves && right!.input[0] === x ? x : undefined;
}

/** (1, 1, S, width) → (S, width / 2): both halves are the same. */
function halfTable(graph: Graph, tensor: string, lengths: Lengths): string {
  const maker = graph.maker(tensor);
  const table = maker?.opType === 'Unsqueeze' ? maker.input[0]! : tensor;
  const width = lengths.once('Gather', [lengths.once('Shape', [table]), lengths.ints(-1)]);
  const half = lengths.once('Div', [width, lengths.ints(2)]);
  const left = lengths.once('Slice', [table, lengths.ints(0), half, lengths.ints(-1)]);
  return lengths.once('Reshape', [left, lengths.shape([-1, half])]);
}
