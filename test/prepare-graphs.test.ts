import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { afterEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { elementTypes, Graph, intAttribute, valueInfo } from '../src/models/graph/graph.js';
import { type GraphProto, GraphProtoSchema, type ModelProto } from '../src/models/graph/onnx_pb.js';
import { readGraph } from '../src/models/graph/read.js';
import { opsetOf, writeGraph } from '../src/models/graph/write.js';
import type { Dtype } from '../src/models/layout.js';
import { loadModel } from '../src/models/load.js';
import { cutLogits } from '../src/models/prepare/logits.js';
import { prepareModel } from '../src/models/prepare/prepare.js';
import { findVisionParts } from '../src/models/prepare/vision.js';
import type { EncodedFrame, Model } from '../src/models/types.js';
import {
  answerGreedily,
  concat,
  copyFixture,
  difference,
  fixtures,
  readFloats,
  tokensOf,
  videoOf,
} from './support/published.js';

/*
 * The small LLaVA in graphs that other tools make of it (training/published/other_graphs.py and dtypes.py), against
 * what transformers answers. Differences are |a − b| / (1 + |b|).
 */

const ids = z.array(z.int());
const folder = join(fixtures, 'llava/reference');
const reference = z
  .object({
    frames: z.int(),
    question: z.string(),
    budget: z.object({ dominant: z.int(), contextual: z.int() }),
    answers: z.object({ none: z.object({ ids }), visionzip: z.object({ ids }) }),
  })
  .parse(JSON.parse(readFileSync(join(folder, 'reference.json'), 'utf8')));
const stored = (name: string) => readFloats(join(folder, `${name}.f32`));
let dir: string;

afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** Lets a graph take the place of `original`, which becomes the data that holds the weights of both. */
function copyWith(variant: string, original: string): void {
  dir = copyFixture('llava');
  const file = (name: string) => join(dir, 'onnx', `${name}.onnx`);
  renameSync(file(original), `${file(original)}_data`);
  renameSync(file(variant), file(original));
}

/** Changes a graph of a copy by hand. */
async function edit(name: string, change: (graph: Graph, model: ModelProto) => void): Promise<void> {
  const file = join(dir, 'onnx', `${name}.onnx`);
  const data = `${name}.onnx_data_1`;
  const model = await readGraph(file);
  for (const { externalData } of model.graph!.initializer)
    for (const entry of externalData)
      if (entry.key === 'location' && entry.value === `${name}.onnx`) entry.value = data;
  renameSync(file, join(dir, 'onnx', data));
  change(new Graph(model.graph!), model);
  await writeGraph(file, model, model.graph!);
}

function changeConfig(change: object): void {
  const file = join(dir, 'config.json');
  const config = JSON.parse(readFileSync(file, 'utf8'));
  writeFileSync(file, JSON.stringify({ ...config, text_config: { ...config.text_config, ...change } }));
}

async function withModel<T>(dtype: Dtype, use: (model: Model) => Promise<T>): Promise<T> {
  await prepareModel(dir, { dtype });
  const model = await loadModel(dir);
  return use(model).finally(() => model.release());
}

function encodeFrames(model: Model): Promise<EncodedFrame[]> {
  const pixels = stored('pixel_values');
  const size = pixels.length / reference.frames;
  return model.vision.encode(
    Array.from({ length: reference.frames }, (_, index) => {
      return { index, ptsSeconds: index, pixelValues: pixels.subarray(index * size, (index + 1) * size) };
    }),
  );
}

async function answer(model: Model, side: 'none' | 'visionzip', steps: number) {
  const encoded = await encodeFrames(model);
  const budget = side === 'none' ? null : reference.budget;
  const blocks = await Promise.all(encoded.map((frame) => tokensOf(model, frame, budget)));
  const prompt = model.chat.layOut(videoOf(reference.frames), reference.question);
  return answerGreedily(model, prompt, blocks, steps);
}

async function expectAnswers(dtype: Dtype, limit: number): Promise<void> {
  await withModel(dtype, async (model) => {
    for (const side of ['none', 'visionzip'] as const) {
      const expected = reference.answers[side].ids;
      const { logits, ids: found } = await answer(model, side, expected.length);
      expect(difference(logits, stored(`logits_${side}`)), side).toBeLessThanOrEqual(limit);
      expect(found, side).toEqual(expected);
    }
  });
}

/** The operators that make a tensor, nearest first, along first inputs. */
function chain(proto: GraphProto, tensor: string, count: number): string[] {
  const graph = new Graph(proto);
  const found: string[] = [];
  for (let node = graph.maker(tensor); node && found.length < count; node = graph.maker(node.input[0]!))
    found.push(node.opType);
  return found;
}

async function preparedGraph(name: string): Promise<GraphProto> {
  return (await readGraph(join(dir, `onnx/visionzip_${name}.onnx`))).graph!;
}

describe('a tower', () => {
  it.each([
    ['extended', "by ONNX Runtime's own optimiser: FusedMatMul, QuickGelu, BiasGelu"],
    ['older', 'with Gemm, and with attention over (B · heads)'],
    ['packed', "by onnxruntime's optimiser for CLIP: Attention, with queries, keys and values in one"],
  ])("has transformers' outputs, keys and scores: %s, %s", async (variant) => {
    copyWith(`vision_encoder_${variant}`, 'vision_encoder');
    const { manifest, differences } = await prepareModel(dir, { dtype: 'fp32' });
    expect(manifest.tower).toMatchObject({ scores: 'attention', cls: true, selectedLayer: 2 });
    expect(differences[0]!.largest).toBeLessThanOrEqual(1e-5);
    const encoded = await withModel('fp32', encodeFrames);
    for (const name of ['hidden', 'keys', 'scores'] as const) {
      const found = concat(encoded.map((frame) => frame[name]));
      expect(difference(found, stored(name)), name).toBeLessThanOrEqual(1e-4);
    }
  });

  it('is cut behind a norm that has the last residual addition inside', async () => {
    dir = copyFixture('llava');
    await edit('vision_encoder', (graph, model) => {
      const { feature } = findVisionParts(graph.proto, opsetOf(model));
      const last = graph.maker(feature)!;
      expect(last.opType).toBe('Add');
      const ones = new Uint8Array(new Float32Array(32).fill(1).buffer);
      graph.proto.initializer.push(...constants({ scale: ones, shift: new Uint8Array(128) }, 32));
      Object.assign(last, { opType: 'SkipLayerNormalization', domain: 'com.microsoft' });
      last.input.push('scale', 'shift');
      useMicrosoft(model);
    });
    const [{ hidden, D }] = (await withModel('fp32', encodeFrames)) as [EncodedFrame];
    for (let n = 0; n < hidden.length; n += D) {
      const row = hidden.subarray(n, n + D);
      expect(row.reduce((sum, x) => sum + x, 0) / D).toBeCloseTo(0, 4);
      expect(row.reduce((sum, x) => sum + x * x, 0) / D).toBeCloseTo(1, 2);
    }
  });

  it('may hold some weights of its projector in another type than it computes in', async () => {
    dir = copyFixture('llava');
    await edit('vision_encoder', ({ proto }) => {
      const graph = new Graph(proto);
      const { output } = findVisionParts(proto, 17);
      const bias = graph.maker(output)!.input.find((input) => graph.constant(input))!;
      graph.reroute(bias, 'bias/float32');
      proto.initializer = proto.initializer.filter(({ name }) => name !== bias);
      proto.initializer.push(...constants({ half: new Uint8Array(80) }, 40, elementTypes.float16));
      graph.put('bias/float32', 'Cast', ['half'], [intAttribute('to', elementTypes.float32)]);
      graph.sort();
    });
    const { differences } = await prepareModel(dir, { dtype: 'fp32' });
    expect(differences[0]!.largest).toBeLessThanOrEqual(1e-5);
  });

  it('leaves no shapes in its projector that were those of all tokens', async () => {
    dir = copyFixture('llava');
    const { valueInfo: before } = (await readGraph(join(dir, 'onnx/vision_encoder_int8.onnx'))).graph!;
    expect(before.length).toBeGreaterThan(0);
    await prepareModel(dir, { dtype: 'int8' });
    expect((await preparedGraph('projector_int8')).valueInfo).toEqual([]);
  });
});

describe('a decoder', () => {
  it('of two branches, one without and one with a past, gives the same answers', async () => {
    copyWith('decoder_model_merged_branches', 'decoder_model_merged');
    await expectAnswers('fp32', 1e-3);
    const { node } = await preparedGraph('decoder');
    expect(node.map(({ opType }) => opType)).toEqual(['If']);
    for (const { g } of node[0]!.attribute) {
      expect(chain(g!, 'logits', 2)).toEqual(['MatMul', 'Slice']);
      expect(g!.output[0]!.type!.tensorType!.shape!.dim[1]!.dimValue).toBe(1n);
    }
  });

  it('of two branches may have weights of both outside of them', async () => {
    copyWith('decoder_model_merged_branches', 'decoder_model_merged');
    await edit('decoder_model_merged', ({ proto }) => {
      for (const { g } of proto.node[0]!.attribute) {
        const branch = new Graph(g!);
        branch.rename('logits', 'products');
        // The bias first, as PyTorch writes it.
        branch.put('logits', 'Add', ['bias', 'products']);
      }
      proto.initializer.push(...constants({ bias: new Uint8Array(4) }, 1));
    });
    await expectAnswers('fp32', 1e-3);
  });

  it('with GroupQueryAttention in float16, no positions and a cache of open width gives the same answers', async () => {
    copyWith('decoder_model_merged_group_query', 'decoder_model_merged_fp16');
    changeConfig({ head_dim: 16 });
    await expectAnswers('fp16', 0.04);
    // Else ONNX Runtime may take both for equally long, and lend the memory of one to the other.
    const { valueInfo: known } = await preparedGraph('decoder_fp16');
    const lengthOf = (name: string) =>
      known.find((value) => value.name === name)!.type!.tensorType!.shape!.dim[2]!.dimParam;
    expect(lengthOf('past_key_values.0.key/float16')).toBe('past_sequence_length');
    expect(lengthOf('present.0.key/float16')).toBe('total_sequence_length');
  });

  it('may leave the shape of its cache to config.json', async () => {
    dir = copyFixture('llava');
    await edit('decoder_model_merged', ({ proto }) => {
      proto.input = proto.input.map((input) => {
        if (!input.name.startsWith('past_key_values.')) return input;
        return valueInfo(input.name, elementTypes.float32, ['batch', 'heads', 'past', 'width']);
      });
    });
    await expectAnswers('fp32', 1e-3);
  });

  it('with a cache of open width needs a config.json that says it', async () => {
    copyWith('decoder_model_merged_group_query', 'decoder_model_merged_fp16');
    changeConfig({ head_dim: undefined, hidden_size: undefined });
    await expect(prepareModel(dir, { dtype: 'fp16' })).rejects.toThrow(
      /config.json must say `num_attention_heads`, and .*: the decoder leaves the shape of past_key_values.0.key/,
    );
  });

  it('that was made to take one token behind its past is refused', async () => {
    dir = copyFixture('llava');
    await edit('decoder_model_merged', (graph) => {
      // Where several tokens come, the mask forgets how long the past is.
      const [difference] = graph.nodes('Sub');
      const [offset, S] = [difference!.output[0]!, difference!.input[1]!];
      graph.rename(offset, 'past');
      graph.reroute('past', offset);
      const isOne = graph.add('Equal', [S, graph.int64s([1])]);
      const factor = graph.add('Cast', [isOne], [intAttribute('to', elementTypes.int64)]);
      graph.put(offset, 'Mul', ['past', factor]);
      graph.sort();
    });
    await expect(prepareModel(dir, { dtype: 'fp32' })).rejects.toThrow(
      /^logits of a prompt in two parts differ by .* more than 0.001$/,
    );
  });

  it('may make its logits by FusedMatMul', async () => {
    dir = copyFixture('llava');
    await edit('decoder_model_merged', (graph, model) => {
      Object.assign(graph.maker('logits')!, { opType: 'FusedMatMul', domain: 'com.microsoft' });
      useMicrosoft(model);
    });
    await expectAnswers('fp32', 1e-3);
    expect(chain(await preparedGraph('decoder'), 'logits', 2)).toEqual(['FusedMatMul', 'Slice']);
  });

  it('is cut behind a product that takes its scale of all positions', () => {
    const float32 = elementTypes.float32;
    const proto = create(GraphProtoSchema, {
      input: [valueInfo('x', float32, ['batch', 'positions', 4])],
      output: [valueInfo('logits', float32, ['batch', 'positions', 8])],
    });
    const graph = new Graph(proto);
    graph.put('products', 'DynamicQuantizeMatMul', ['x', 'weight', 'scale'], [], 'com.microsoft');
    graph.put('logits', 'Cast', ['products'], [intAttribute('to', float32)]);
    proto.initializer.push(...constants({ weight: new Uint8Array(16), scale: new Uint8Array(16) }, 4));
    cutLogits(proto);
    expect(chain(proto, 'logits', 4)).toEqual(['Cast', 'Identity', 'Slice', 'DynamicQuantizeMatMul']);
    expect(new Graph(proto).nodes('DynamicQuantizeMatMul')[0]!.input[0]).toBe('x');
  });
});

it('gives in q4f16 what the untouched graphs give, and about what q4 gives', async () => {
  dir = copyFixture('llava');
  const { differences } = await prepareModel(dir, { dtype: 'q4f16' });
  for (const { what, largest } of differences) expect(largest, what).toBeLessThanOrEqual(1e-3);
  const [half, whole] = [
    await withModel('q4f16', (model) => answer(model, 'none', 4)),
    await withModel('q4', (model) => answer(model, 'none', 4)),
  ];
  expect(difference(half.logits, whole.logits)).toBeLessThanOrEqual(0.05);
  expect(half.ids).toEqual(whole.ids);
});

/** Vectors by name. */
function constants(
  values: Record<string, Uint8Array>,
  length: number,
  dataType: number = elementTypes.float32,
) {
  const initializer = Object.entries(values).map(([name, rawData]) => {
    return { name, dims: [BigInt(length)], dataType, rawData };
  });
  return create(GraphProtoSchema, { initializer }).initializer;
}

function useMicrosoft(model: ModelProto): void {
  const [standard] = model.opsetImport;
  model.opsetImport.push({ ...standard!, domain: 'com.microsoft', version: 1n });
}
