import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  ModelProtoSchema,
  StringStringEntryProtoSchema,
  TensorProto_DataLocation,
} from '../../src/models/graph/onnx_pb.js';
import { fixtures } from './published.js';

/** Lists of files as repositories of the hub have them; what matters holds a small model, the rest is filler. */
export type Files = Record<string, Buffer | string>;

/** What exporters for transformers.js wrote for years. */
export const EIGHT_TYPES = ['', '_bnb4', '_fp16', '_int8', '_q4', '_q4f16', '_quantized', '_uint8'];
/** What newer ones write. */
export const FIVE_TYPES = ['', '_fp16', '_q4', '_q4f16', '_quantized'];

const PARTS = ['vision_encoder', 'embed_tokens', 'decoder_model_merged'];
/** Larger than any small graph, so that nothing is chosen for being smaller. */
const FILLER_BYTES = 600_000;

export function filler(name: string): Buffer {
  return Buffer.alloc(FILLER_BYTES, name);
}

/** A file of a small model. */
export function readFixture(fixture: string, name: string): Buffer {
  return readFileSync(join(fixtures, fixture, name));
}

/**
 * The graphs of all parts in all types. Those that are going to be chosen hold the small model, in that type where it is there,
 * else in float32.
 *
 * @param chosen paths.
 */
export function graphs(fixture: string, types: readonly string[], chosen: readonly string[]): Files {
  const names = PARTS.flatMap((part) => types.map((type) => ({ part, path: `onnx/${part}${type}.onnx` })));
  return Object.fromEntries(
    names.map(({ part, path }) => {
      if (!chosen.includes(path)) return [path, filler(path)];
      const own = existsSync(join(fixtures, fixture, path));
      return [path, readFixture(fixture, own ? path : `onnx/${part}.onnx`)];
    }),
  );
}

/** The same with the weights of each graph in so many files beside it, or fewer where it has fewer weights. */
export function withDataBeside(files: Files, chosen: readonly string[], count: number): Files {
  return Object.fromEntries(
    Object.entries(files).flatMap(([path, content]) => {
      const data = Array.from({ length: count }, (_, i) => `${path}_data${i === 0 ? '' : `_${i}`}`);
      if (!chosen.includes(path)) return [path, ...data].map((name) => [name, filler(name)]);
      return Object.entries(moveWeights(Buffer.from(content), path, data));
    }),
  );
}

/** A graph whose weights of at least 1 kB go to other files, in turn. */
function moveWeights(graph: Buffer, path: string, data: readonly string[]): Files {
  const model = fromBinary(ModelProtoSchema, graph);
  const moved = data.map(() => [] as Uint8Array[]);
  const heavy = model.graph!.initializer.filter(({ rawData }) => rawData.length >= 1024);
  heavy.forEach((tensor, i) => {
    const file = i % data.length;
    const offset = moved[file]!.reduce((sum, { length }) => sum + length, 0);
    const location = data[file]!.replace(/^onnx\//, '');
    const entry = { location, offset, length: tensor.rawData.length };
    tensor.externalData = Object.entries(entry).map(([key, value]) =>
      create(StringStringEntryProtoSchema, { key, value: String(value) }),
    );
    tensor.dataLocation = TensorProto_DataLocation.EXTERNAL;
    moved[file]!.push(tensor.rawData);
    tensor.rawData = new Uint8Array();
  });
  const files = data.flatMap((name, i) => (moved[i]!.length > 0 ? [[name, Buffer.concat(moved[i]!)]] : []));
  return { [path]: Buffer.from(toBinary(ModelProtoSchema, model)), ...Object.fromEntries(files) };
}

/** What lies around every repository and is of no use here. */
export function surroundings(): Files {
  const names = ['.gitattributes', 'README.md', 'LICENSE', 'added_tokens.json', 'merges.txt'];
  const more = ['special_tokens_map.json', 'vocab.json'];
  return Object.fromEntries([...names, ...more].map((name) => [name, filler(name)]));
}

/** Where a repository has its chat template. */
export type TemplatePlace = 'chat_template.jinja' | 'chat_template.json' | 'tokenizer_config.json';

/** Tokenizer, configuration and template of a small model. */
export function texts(fixture: string, template: TemplatePlace): Files {
  const read = (name: string) => readFixture(fixture, name).toString();
  const jinja = read('chat_template.jinja');
  const files: Files = {};
  for (const name of ['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json'])
    files[name] = read(name);
  const held = template === 'tokenizer_config.json' ? JSON.parse(read(template)) : {};
  files[template] = template.endsWith('.jinja') ? jinja : JSON.stringify({ ...held, chat_template: jinja });
  return files;
}

/** How pictures are prepared, as transformers 4 wrote it. */
export function preprocessing(fixture: string): Files {
  return { 'preprocessor_config.json': readFixture(fixture, 'preprocessor_config.json') };
}

/** The same as transformers 5 writes it: a stub in the file of old, and the settings in the processor's. */
export function nestedPreprocessing(fixture: string): Files {
  const parse = (name: string) => JSON.parse(readFixture(fixture, name).toString());
  const processor = parse('processor_config.json');
  const settings = parse('preprocessor_config.json');
  const stub = JSON.stringify({ processor_class: processor.processor_class }, null, 2);
  return {
    'preprocessor_config.json': stub,
    'processor_config.json': JSON.stringify({ ...processor, image_processor: settings }),
    'video_preprocessor_config.json': JSON.stringify({ ...settings, do_sample_frames: false }),
  };
}

/** Original weights, with the newline's embedding among them. */
export function safetensors(fixture: string): Buffer {
  const npy = readFixture(fixture, 'onnx/image_newline.npy');
  const newline = npy.subarray(10 + npy.readUInt16LE(8));
  const rest = filler('model');
  const header = JSON.stringify({
    'model.embed.weight': { dtype: 'U8', shape: [rest.length], data_offsets: [0, rest.length] },
    'model.image_newline': {
      ...{ dtype: 'F32', shape: [newline.length / 4] },
      data_offsets: [rest.length, rest.length + newline.length],
    },
  });
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, Buffer.from(header), rest, newline]);
}
