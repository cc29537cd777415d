import { create } from '@bufbuild/protobuf';
import { expect, it } from 'vitest';
import { elementTypes, Graph, intAttribute, valueInfo } from '../src/models/graph/graph.js';
import { workBytes } from '../src/models/graph/live.js';
import { type GraphProto, GraphProtoSchema } from '../src/models/graph/onnx_pb.js';
import { Lengths } from '../src/models/prepare/lengths.js';

const float = (name: string, ...dims: number[]) => valueInfo(name, elementTypes.float32, dims);

/** y = −(x + x), whose nodes stand in the file from the end to the beginning, behind one that nothing needs. */
function backwards(): GraphProto {
  const proto = create(GraphProtoSchema, { input: [float('x', 8)], output: [float('y', 8)] });
  const graph = new Graph(proto);
  graph.put('unused', 'Neg', ['x']);
  graph.put('y', 'Neg', ['sum']);
  graph.put('sum', 'Add', ['x', 'x']);
  return proto;
}

it('what a graph computes with is reckoned without changing it', () => {
  const proto = backwards();
  const inputs = new Map([['x', { dims: [8], type: elementTypes.float32 }]]);
  const bytes = workBytes(proto, inputs);
  expect(proto.node.map(({ output }) => output[0])).toEqual(['unused', 'y', 'sum']);
  expect(workBytes(proto, inputs)).toBe(bytes);
});

it('lengths that differ in attributes alone are computed apart, each once', () => {
  const past = float('past', 1, 2, 0, 8);
  const lengths = new Lengths(new Graph(create(GraphProtoSchema, { input: [past] })), 'past');
  const cast = (type: number) => lengths.once('Cast', [lengths.all], [intAttribute('to', type)]);
  expect(cast(elementTypes.int32)).not.toBe(cast(elementTypes.float32));
  expect(cast(elementTypes.int32)).toBe(cast(elementTypes.int32));
});
