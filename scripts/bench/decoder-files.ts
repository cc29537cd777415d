import { join } from 'node:path';
import { intAttribute } from '../../src/models/graph/graph.js';
import type { ModelProto } from '../../src/models/graph/onnx_pb.js';
import { readGraph } from '../../src/models/graph/read.js';
import { writeGraph } from '../../src/models/graph/write.js';
import type { Dtype } from '../../src/models/layout.js';
import { appendToCache } from '../../src/models/prepare/append.js';
import { cutLogits } from '../../src/models/prepare/logits.js';

/** As a prepared model has it; with its logits cut alone; or prepared, and activations rounded for products by 4-bit weights. */
export type Form = 'prepared' | 'cut' | 'rounding';

export interface DecoderFile {
  readonly title: string;
  readonly form: Form;
  readonly decoder: string;
  readonly embedTokens: string;
}

/** Writes a decoder of a folder in the hub's layout beside its original. */
export async function writeDecoder(dir: string, dtype: Dtype, form: Form): Promise<DecoderFile> {
  const suffix = dtype === 'fp32' ? '' : `_${dtype}`;
  const model = await readGraph(join(dir, `onnx/decoder_model_merged${suffix}.onnx`));
  cutLogits(model.graph!);
  if (form !== 'cut' && !appendToCache(model, { model_type: 'llama' }))
    throw new Error(`the decoder in ${dir} cannot give new keys and values alone`);
  if (form === 'rounding') roundActivations(model);
  const decoder = join(dir, `onnx/visionzip_${form}${suffix}.onnx`);
  await writeGraph(decoder, model, model.graph!);
  const told = { prepared: '', cut: ', cache copied', rounding: ', activations in int8' };
  const embedTokens = join(dir, `onnx/embed_tokens${suffix}.onnx`);
  return { title: `visionzip, ${dtype}${told[form]}`, form, decoder, embedTokens };
}

/** MatMulNBits' `accuracy_level` 4: activations become int8 in blocks, as in llama.cpp. */
function roundActivations({ graph }: ModelProto): void {
  for (const node of graph!.node.filter(({ opType }) => opType === 'MatMulNBits')) {
    const others = node.attribute.filter(({ name }) => name !== 'accuracy_level');
    node.attribute = [...others, intAttribute('accuracy_level', 4)];
  }
}
