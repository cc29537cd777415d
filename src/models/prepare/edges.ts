import { clone, create } from '@bufbuild/protobuf';
import { elementTypes, type Graph, intAttribute, valueInfo } from '../graph/graph.js';
import { TypeProtoSchema, type ValueInfoProto, ValueInfoProtoSchema } from '../graph/onnx_pb.js';

/**
 * Makes every float16 input and output of a graph float32 by casts inside: JavaScript has no float16 arrays on all the
 * versions of Node that we run on. Says whether there were any.
 */
export function castEdges(graph: Graph): boolean {
  const { proto } = graph;
  if (![...proto.input, ...proto.output].some(isHalf)) return false;
  proto.input = proto.input.map((input) => {
    if (!isHalf(input)) return input;
    const inside = `${input.name}/float16`;
    graph.reroute(input.name, inside);
    graph.put(inside, 'Cast', [input.name], [intAttribute('to', elementTypes.float16)]);
    keepShape(graph, input, inside);
    return asFloat32(input);
  });
  proto.output = proto.output.map((output) => {
    if (!isHalf(output)) return output;
    const inside = `${output.name}/float16`;
    graph.rename(output.name, inside);
    graph.put(output.name, 'Cast', [inside], [intAttribute('to', elementTypes.float32)]);
    keepShape(graph, output, inside);
    return asFloat32(output);
  });
  graph.sort();
  return true;
}

/**
 * What was said of an edge holds inside. Without it ONNX Runtime takes the cache that GroupQueryAttention gives for one as
 * long as the cache that it is given, and may lend the memory of one to the other.
 */
function keepShape({ proto }: Graph, { type }: ValueInfoProto, inside: string): void {
  proto.valueInfo.push(create(ValueInfoProtoSchema, { name: inside, type: clone(TypeProtoSchema, type!) }));
}

function isHalf({ type }: ValueInfoProto): boolean {
  return type?.tensorType?.elemType === elementTypes.float16;
}

function asFloat32({ name, type }: ValueInfoProto): ValueInfoProto {
  const shape =
    type!.tensorType!.shape?.dim.map(({ dimValue, dimParam }) => dimParam || Number(dimValue)) ?? [];
  return valueInfo(name, elementTypes.float32, shape);
}
