import { create } from '@bufbuild/protobuf';
import {
  elementTypes,
  floatAttribute,
  Graph,
  graphAttribute,
  intAttribute,
  intsAttribute,
  valueInfo,
} from '../graph/graph.js';
import { GraphProtoSchema } from '../graph/onnx_pb.js';
import type { CachedAttention } from './cached-attention.js';
import type { Lengths } from './lengths.js';

/**
 * Adds attention over a past that is read where it lies, and returns what comes out: (1, h, S, width).
 *
 * For one new token, products with past and new apart: that costs half of what GroupQueryAttention takes, which joins them.
 * For several, GroupQueryAttention, which needs no matrix of S × length and takes a half to a quarter of what the
 * products take.
 */
export function attendInPlace(graph: Graph, attention: CachedAttention, lengths: Lengths): string {
  const queries = attention.scales.reduce((tensor, { opType, by }) => {
    return graph.add(opType, [tensor, typeof by === 'string' ? by : graph.float32(by)]);
  }, attention.queries);
  const layer = { ...attention, queries };
  const isStep = lengths.once('Equal', [lengths.added, lengths.ints(1)]);
  const name = attention.keys.present;
  return graph.add(
    'If',
    [isStep],
    [
      graphAttribute(
        'then_branch',
        inBranch(graph, `visionzip/${name}/step`, (branch) => step(branch, layer, lengths)),
      ),
      graphAttribute(
        'else_branch',
        inBranch(graph, `visionzip/${name}/prefill`, (branch) => prefill(branch, layer, lengths)),
      ),
    ],
  );
}

function inBranch(outside: Graph, name: string, make: (branch: Graph) => string) {
  const branch = new Graph(create(GraphProtoSchema, { name }), outside, name);
  const output = make(branch);
  branch.proto.output = [valueInfo(output, elementTypes.float32, [1, 'heads', 'sequence', 'width'])];
  return branch.proto;
}

/** softmax(queries · [past, added]ᵀ) · [past, added]. The heads that share keys and values go through one product. */
function step(graph: Graph, { queries, heads, keys, values }: CachedAttention, lengths: Lengths): string {
  const last = lengths.ints(3);
  const turn = (tensor: string) => graph.add('Transpose', [tensor], [intsAttribute('perm', [0, 1, 3, 2])]);
  const grouped = graph.add('Reshape', [
    queries,
    lengths.ints(1, keys.heads, heads / keys.heads, keys.width),
  ]);
  const room = graph.add('MatMul', [grouped, turn(keys.input.name)]);
  const old = graph.add('Slice', [room, lengths.ints(0), lengths.past, last]);
  const scores = graph.add(
    'Concat',
    [old, graph.add('MatMul', [grouped, turn(keys.added)])],
    [intAttribute('axis', 3)],
  );
  const weights = graph.add('Softmax', [scores], [intAttribute('axis', -1)]);
  const toOld = graph.add('Slice', [weights, lengths.ints(0), lengths.past, last]);
  const toAdded = graph.add('Slice', [weights, lengths.past, lengths.all, last]);
  const toRoom = graph.add('Pad', [toOld, lengths.shape([0, 0, 0, 0, 0, 0, 0, lengths.unused])]);
  const mixed = graph.add('Add', [
    graph.add('MatMul', [toRoom, values.input.name]),
    graph.add('MatMul', [toAdded, values.added]),
  ]);
  return graph.add('Reshape', [mixed, lengths.ints(1, heads, 1, keys.width)]);
}

/** In com.microsoft's GroupQueryAttention: causal, and scaled already. Its longer cache is left where it is. */
function prefill(graph: Graph, { queries, heads, keys, values }: CachedAttention, lengths: Lengths): string {
  const swap = (tensor: string) => graph.add('Transpose', [tensor], [intsAttribute('perm', [0, 2, 1, 3])]);
  const flat = (tensor: string) => graph.add('Reshape', [swap(tensor), lengths.ints(0, 0, -1)]);
  const int32 = (length: string) => lengths.once('Cast', [length], [intAttribute('to', elementTypes.int32)]);
  const inputs = [
    ...[queries, keys.added, values.added].map(flat),
    ...[keys.input.name, values.input.name],
    ...[int32(lengths.once('Sub', [lengths.all, lengths.ints(1)])), int32(lengths.all)],
  ];
  const attributes = [
    intAttribute('num_heads', heads),
    intAttribute('kv_num_heads', keys.heads),
    floatAttribute('scale', 1),
  ];
  const mixed = graph.add('GroupQueryAttention', inputs, attributes, 'com.microsoft', 3);
  return swap(graph.add('Reshape', [mixed, lengths.ints(0, 0, heads, keys.width)]));
}
