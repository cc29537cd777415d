import { rename, writeFile } from 'node:fs/promises';
import { create, toBinary } from '@bufbuild/protobuf';
import { type GraphProto, type ModelProto, ModelProtoSchema } from './onnx_pb.js';

/** Writes a graph with what else a model says (operator versions, functions) in one step, so that it is whole or not there. */
export async function writeGraph(path: string, model: ModelProto, graph: GraphProto): Promise<void> {
  const edited = create(ModelProtoSchema, {
    irVersion: model.irVersion,
    opsetImport: model.opsetImport,
    graph,
  });
  edited.producerName = 'visionzip-worker';
  edited.$unknown = model.$unknown;
  await writeFile(`${path}.part`, toBinary(ModelProtoSchema, edited));
  await rename(`${path}.part`, path);
}

/** The version of the standard operators. */
export function opsetOf({ opsetImport }: ModelProto): number {
  return Number(opsetImport.find(({ domain }) => domain === '' || domain === 'ai.onnx')?.version ?? 0n);
}
