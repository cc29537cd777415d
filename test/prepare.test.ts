import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  describeModel,
  readGenerationDefaults,
  readModelFolder,
  readPreprocessor,
} from '../src/models/folder.js';
import { elementTypes, Graph, intAttribute, intsAttribute, valueInfo } from '../src/models/graph/graph.js';
import { GraphProtoSchema, ModelProtoSchema } from '../src/models/graph/onnx_pb.js';
import { readGraph } from '../src/models/graph/read.js';
import { writeGraph } from '../src/models/graph/write.js';
import { measureModel } from '../src/models/inspect.js';
import type { Dtype } from '../src/models/layout.js';
import { listModels } from '../src/models/list.js';
import { loadModel } from '../src/models/load.js';
import { outlineModel } from '../src/models/outline.js';
import { castEdges } from '../src/models/prepare/edges.js';
import { prepareModel } from '../src/models/prepare/prepare.js';
import type { PreparedFrame } from '../src/models/types.js';
import { difference, fixtures, readFloats } from './support/published.js';

let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'visionzip-prepare-'));
});

afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** A copy of a published model; `variant` takes the place of its vision encoder. */
function copyOf(family: string, variant?: string): string {
  const copy = join(dir, family);
  cpSync(join(fixtures, family), copy, { recursive: true });
  if (variant)
    renameSync(join(copy, `onnx/vision_encoder_${variant}.onnx`), join(copy, 'onnx/vision_encoder.onnx'));
  return copy;
}

/** Pictures that went through transformers' own preprocessing. */
function framesOf(family: string): PreparedFrame[] {
  const folder = join(fixtures, family, 'reference');
  const { frames } = JSON.parse(readFileSync(join(folder, 'reference.json'), 'utf8'));
  const pixels = readFloats(join(folder, 'pixel_values.f32'));
  const size = pixels.length / frames;
  return Array.from({ length: frames }, (_, index) => {
    return { index, ptsSeconds: index, pixelValues: pixels.subarray(index * size, (index + 1) * size) };
  });
}

async function encodeOne(folder: string, family: string) {
  const model = await loadModel(folder);
  try {
    return (await model.vision.encode(framesOf(family).slice(0, 1)))[0]!;
  } finally {
    await model.release();
  }
}

/** Seeded numbers between −scale and scale. */
function weights(dims: readonly number[], scale: number): Uint8Array {
  const count = dims.reduce((a, b) => a * b, 1);
  const values = Float32Array.from(
    { length: count },
    (_, i) => scale * Math.sin(1 + i * 12.9898 + (i % 7) * 78.233),
  );
  return new Uint8Array(values.buffer);
}

/** A tower without attention (one block: x + conv(x)), its map flattened, and a projector to width 40. */
async function writeConvolutionalEncoder(path: string): Promise<void> {
  const initializer = Object.entries({
    patch: [32, 3, 6, 6],
    block: [32, 32, 1, 1],
    up: [32, 40],
    out: [40, 40],
  }).map(([name, dims]) => ({ name, dims: dims.map(BigInt), dataType: 1, rawData: weights(dims, 0.3) }));
  const graph = new Graph(create(GraphProtoSchema, { initializer }));
  const patches = graph.add('Conv', ['pixel_values', 'patch'], [intsAttribute('strides', [6, 6])]);
  const block = graph.add('Relu', [graph.add('Conv', [patches, 'block'])]);
  const map = graph.add('Add', [patches, block]);
  const flat = graph.add('Reshape', [map, graph.int64s([0, 32, -1])]);
  const tokens = graph.add('Transpose', [flat], [intsAttribute('perm', [0, 2, 1])]);
  const hidden = graph.add('Relu', [graph.add('MatMul', [tokens, 'up'])]);
  graph.put('image_features', 'MatMul', [hidden, 'out']);
  const float32 = elementTypes.float32;
  const input = valueInfo('pixel_values', float32, ['batch', 3, 42, 42]);
  const output = valueInfo('image_features', float32, ['batch', 49, 40]);
  const model = create(ModelProtoSchema, { irVersion: 8n, opsetImport: [{ domain: '', version: 17n }] });
  await writeGraph(path, model, graph.between([input], [output], 'encoder'));
}

describe('preparing a model', () => {
  it.each(['fused', 'optimized', 'external'])(
    'finds the same scores and keys whether attention is fused, weights lie elsewhere or not: %s',
    async (variant) => {
      const plain = copyOf('llava');
      await prepareModel(plain, { dtype: 'fp32' });
      const expected = await encodeOne(plain, 'llava');
      rmSync(plain, { recursive: true });
      const changed = copyOf('llava', variant);
      await prepareModel(changed, { dtype: 'fp32' });
      const actual = await encodeOne(changed, 'llava');
      for (const name of ['hidden', 'keys', 'scores'] as const)
        expect(difference(actual[name], expected[name]), name).toBeLessThanOrEqual(1e-4);
    },
  );

  it.each([
    ['llava', 'fp16', 5e-3, 5e-3],
    ['llava', 'int8', 1e-6, 1e-6],
    ['llava', 'q4', 1e-6, 1e-5],
    ['llava_onevision', 'fp16', 5e-3, 5e-3],
  ] as [string, Dtype, number, number][])(
    'gives what the untouched graphs of %s in %s give',
    async (family, dtype, visionLimit, logitsLimit) => {
      const copy = copyOf(family);
      const { manifest, differences } = await prepareModel(copy, { dtype });
      expect(manifest.dtype).toBe(dtype);
      expect(differences[0]!.largest).toBeLessThanOrEqual(visionLimit);
      expect(differences[1]!.largest).toBeLessThanOrEqual(logitsLimit);
      const { scores, keys } = await encodeOne(copy, family);
      expect(Math.min(...scores)).toBeGreaterThanOrEqual(0);
      expect(keys.every(Number.isFinite)).toBe(true);
    },
  );

  it('gives scores that add up: what each query spends is 1', async () => {
    const copy = copyOf('llava_interleave');
    await prepareModel(copy, { dtype: 'fp32' });
    const { scores } = await encodeOne(copy, 'llava_interleave');
    // Received attention, averaged over heads and queries, summed over the tokens.
    expect(scores.reduce((sum, score) => sum + score, 0)).toBeCloseTo(1, 4);
  });

  it('scores a tower without attention by likeness to its mean token, and says so', async () => {
    const copy = copyOf('llava');
    await writeConvolutionalEncoder(join(copy, 'onnx/vision_encoder.onnx'));
    const { manifest, differences } = await prepareModel(copy, { dtype: 'fp32' });
    expect(manifest.tower).toMatchObject({
      scores: 'similarity',
      cls: false,
      grid: { rows: 7, columns: 7 },
      width: 32,
    });
    expect(differences[0]!.largest).toBeLessThanOrEqual(1e-5);
    const { hidden, keys, scores, N, D } = await encodeOne(copy, 'llava');
    expect(keys).toEqual(hidden);
    const row = (n: number) => hidden.subarray(n * D, (n + 1) * D);
    const mean = Float32Array.from({ length: D }, (_, d) => {
      return Array.from({ length: N }, (_, n) => row(n)[d]!).reduce((a, b) => a + b) / N;
    });
    const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, x, i) => sum + x * b[i]!, 0);
    const cosines = Array.from({ length: N }, (_, n) => {
      return dot(row(n), mean) / Math.sqrt(dot(row(n), row(n)) * dot(mean, mean));
    });
    expect(difference(scores, Float32Array.from(cosines))).toBeLessThanOrEqual(1e-5);
  });

  it.each(['Cast', 'Mul'])(
    "reads Mini-Gemini's CLIP, not what asks its other tower, where both begin with the same %s",
    async (opType) => {
      const copy = copyOf('mini_gemini');
      const file = join(copy, 'onnx/vision_encoder.onnx');
      renameSync(file, `${file}_data`);
      const model = await readGraph(`${file}_data`);
      const graph = new Graph(model.graph!);
      graph.reroute('pixel_values', 'shared');
      const one = opType === 'Mul' ? [graph.float32(1)] : [];
      const to = opType === 'Cast' ? [intAttribute('to', elementTypes.float32)] : [];
      graph.put('shared', opType, ['pixel_values', ...one], to);
      graph.sort();
      await writeGraph(file, model, model.graph!);
      const { manifest } = await prepareModel(copy, { dtype: 'fp32' });
      expect(manifest.tower).toMatchObject({ scores: 'cls-attention', selectedLayer: 2, keyWidth: 8 });
    },
  );

  it('cuts pictures by what config.json says where the processor says nothing, and refuses what cannot be cut', async () => {
    const copy = copyOf('llava_next');
    const file = join(copy, 'preprocessor_config.json');
    const { image_grid_pinpoints: named, ...processor } = JSON.parse(readFileSync(file, 'utf8'));
    writeFileSync(file, JSON.stringify(processor));
    const { manifest } = await prepareModel(copy, { dtype: 'fp32' });
    expect(manifest.pictureResolutions).toEqual(named);
    for (const image_grid_pinpoints of [[], [[40, 84]]]) {
      writeFileSync(file, JSON.stringify({ ...processor, image_grid_pinpoints }));
      await expect(prepareModel(copy, { dtype: 'fp32' })).rejects.toThrow(
        /multiples of the tower's 42 pixels/,
      );
    }
  });

  it('reads the settings of pictures where newer publications have them, and how a video is sampled', async () => {
    const copy = copyOf('llava');
    const own = join(copy, 'preprocessor_config.json');
    const settings = JSON.parse(readFileSync(own, 'utf8'));
    const video_processor = { do_sample_frames: true, fps: 2, num_frames: 24 };
    const write = (processor: object) =>
      writeFileSync(join(copy, 'processor_config.json'), JSON.stringify(processor));
    const before = await readPreprocessor(copy);
    write({ image_processor: settings, video_processor });
    for (const leave of [
      () => writeFileSync(own, '{"processor_class":"LlavaProcessor"}'),
      () => rmSync(own),
    ]) {
      leave();
      expect(await readPreprocessor(copy)).toEqual({
        ...before,
        video_sampling: { fps: 2, max_frames: 24 },
      });
    }
    const { manifest } = await prepareModel(copy, { dtype: 'fp32' });
    expect(manifest.defaults).toMatchObject({ frames: 8, mostFrames: 24, framesPerSecond: 2 });
    await expect(describeModel(copy)).resolves.toMatchObject({ name: 'llava' });
    write({ image_processor: { ...settings, image_std: 'none' } });
    await expect(prepareModel(copy, { dtype: 'fp32' })).rejects.toThrow(
      /processor_config.json is not as expected: `image_processor.image_std`/,
    );
  });

  it('refuses a chat template that loses frames, before a job meets it', async () => {
    const copy = copyOf('llava_onevision');
    // Pictures alone: a video is passed over.
    const template =
      "{% for m in messages %}{% for p in m['content'] %}{% if p['type'] == 'text' %}{{ p['text'] }}{% endif %}{% endfor %}{% endfor %}";
    writeFileSync(join(copy, 'chat_template.jinja'), template);
    await expect(prepareModel(copy, { dtype: 'fp32' })).rejects.toThrow(
      /must give 2 image tokens, it gave 0/,
    );
    expect(readdirSync(copy)).not.toContain('visionzip.json');
  });

  it('leaves the weights where they are and writes little', async () => {
    const copy = copyOf('llava', 'external');
    const before = readdirSync(join(copy, 'onnx')).map((name) => [
      name,
      statSync(join(copy, 'onnx', name)).size,
    ]);
    await prepareModel(copy, { dtype: 'fp32' });
    for (const [name, size] of before) expect(statSync(join(copy, 'onnx', name as string)).size).toBe(size);
    const written = readdirSync(join(copy, 'onnx')).filter((name) => name.startsWith('visionzip_'));
    expect(written.sort()).toEqual([
      'visionzip_decoder.onnx',
      'visionzip_projector.onnx',
      'visionzip_tower.onnx',
    ]);
    const originals = statSync(join(copy, 'onnx/decoder_model_merged.onnx')).size;
    expect(statSync(join(copy, 'onnx/visionzip_decoder.onnx')).size).toBeLessThan(originals / 2);
  });

  it('gives the same files and the same digest when it runs twice, and in another place', async () => {
    const copy = copyOf('llava');
    const first = await prepareModel(copy, { dtype: 'fp32' }).then(() => describeModel(copy));
    const tower = readFileSync(join(copy, 'onnx/visionzip_tower.onnx'));
    const second = await prepareModel(copy, { dtype: 'fp32' }).then(() => describeModel(copy));
    expect(readFileSync(join(copy, 'onnx/visionzip_tower.onnx')).equals(tower)).toBe(true);
    const moved = join(dir, 'elsewhere/llava');
    cpSync(copy, moved, { recursive: true });
    const third = await describeModel(moved);
    expect([second.digest, third.digest]).toEqual([first.digest, first.digest]);
  });

  it('notices an original that changed, and one that is missing', async () => {
    const copy = copyOf('llava');
    await prepareModel(copy, { dtype: 'fp32' });
    const file = join(copy, 'onnx/vision_encoder.onnx');
    utimesSync(file, new Date(0), new Date(0));
    await expect(describeModel(copy)).resolves.toMatchObject({ name: 'llava' });
    const bytes = readFileSync(file);
    bytes[bytes.length - 100]! ^= 1;
    writeFileSync(file, bytes);
    await expect(loadModel(copy)).rejects.toThrow(
      /vision_encoder.onnx has changed since the model was prepared; run/,
    );
    appendFileSync(file, 'x');
    await expect(loadModel(copy)).rejects.toThrow(/has changed/);
    rmSync(file);
    await expect(loadModel(copy)).rejects.toThrow(
      /needs the original file .*vision_encoder.onnx, which is missing/,
    );
  });

  it('reads the chat template and the end token from wherever a publication has them', async () => {
    const copy = copyOf('llava');
    const file = (name: string) => join(copy, name);
    const template = readFileSync(file('chat_template.jinja'), 'utf8');
    const tokenizerConfig = JSON.parse(readFileSync(file('tokenizer_config.json'), 'utf8'));
    rmSync(file('chat_template.jinja'));
    rmSync(file('generation_config.json'));
    await expect(prepareModel(copy, { dtype: 'fp32' })).rejects.toThrow(
      /must hold a chat template: chat_template.jinja/,
    );
    writeFileSync(file('chat_template.json'), JSON.stringify({ chat_template: template }));
    await prepareModel(copy, { dtype: 'fp32' });
    const model = await loadModel(copy);
    expect(model.language.eosTokenIds).toEqual([2]);
    expect(model.chat.render([{ type: 'text', text: 'Hello' }])).toBe('USER: Hello ASSISTANT:');
    await model.release();
    rmSync(file('chat_template.json'));
    const named = [{ name: 'default', template }];
    const bos = { __type: 'AddedToken', content: '<s>' };
    const older = JSON.stringify({ ...tokenizerConfig, bos_token: bos, chat_template: named });
    writeFileSync(file('tokenizer_config.json'), older);
    await prepareModel(copy, { dtype: 'fp32' });
    await expect(describeModel(copy)).resolves.toMatchObject({ name: 'llava' });
  });

  it('asks a model that may think before it answers not to', async () => {
    const copy = copyOf('llava_interleave');
    const file = join(copy, 'chat_template.jinja');
    const thinks =
      '{%- if enable_thinking is defined and not enable_thinking %}<none>{%- else %}<think>{%- endif %}';
    writeFileSync(file, readFileSync(file, 'utf8') + thinks);
    await prepareModel(copy, { dtype: 'fp32' });
    const { chat } = await outlineModel(copy);
    expect(chat.render([{ type: 'text', text: 'What is this?' }])).toMatch(/<none>$/);
  });

  it("knows the model's own way of answering, and transformers' where it says nothing", async () => {
    const copy = copyOf('llava');
    const file = join(copy, 'generation_config.json');
    const none = { samples: false, temperature: 1, topK: 50, topP: 1, repetitionPenalty: 1 };
    expect(await readGenerationDefaults(copy)).toEqual(none);
    const write = (config: object) =>
      writeFileSync(file, JSON.stringify({ eos_token_id: [2, 7], ...config }));
    // As Qwen3-VL has it.
    write({ do_sample: true, temperature: 0.7, top_k: 20, top_p: 0.8, repetition_penalty: 1.05 });
    const own = { samples: true, temperature: 0.7, topK: 20, topP: 0.8, repetitionPenalty: 1.05 };
    expect(await readModelFolder(copy)).toMatchObject({ generationDefaults: own, eosTokenIds: [2, 7] });
    write({ do_sample: true, temperature: 0, top_k: 0, max_new_tokens: 512 });
    const { topK: _, ...others } = none;
    expect(await readGenerationDefaults(copy)).toEqual({ ...others, temperature: 0, maxNewTokens: 512 });
    write({ repetition_penalty: 0 });
    await expect(readModelFolder(copy)).rejects.toThrow(
      /generation_config.json is not as expected: `repetition_penalty`: /,
    );
    rmSync(file);
    expect(await readGenerationDefaults(copy)).toEqual(none);
  });

  it('takes `<image>` for the image token where config.json names none', async () => {
    const copy = copyOf('llava');
    const file = join(copy, 'config.json');
    const { image_token_index: named, ...config } = JSON.parse(readFileSync(file, 'utf8'));
    for (const index of [undefined, -200]) {
      writeFileSync(file, JSON.stringify({ ...config, image_token_index: index }));
      await prepareModel(copy, { dtype: 'fp32' });
      const model = await loadModel(copy);
      expect(model.chat.imageTokenId).toBe(named);
      await model.release();
    }
    writeFileSync(file, JSON.stringify({ ...config, image_token_index: 7 }));
    await expect(prepareModel(copy, { dtype: 'fp32' })).rejects.toThrow(/must name the image token 7/);
  });

  it('takes the context from wherever config.json says it, or from what the class takes', async () => {
    const copy = copyOf('llava');
    const config = JSON.parse(readFileSync(join(copy, 'config.json'), 'utf8'));
    const lengthWith = async (changes: object) => {
      writeFileSync(join(copy, 'config.json'), JSON.stringify({ ...config, ...changes }));
      return (await prepareModel(copy, { dtype: 'q4' })).manifest.contextLength;
    };
    expect(await lengthWith({ text_config: { model_type: 'qwen2' } })).toBe(32_768);
    expect(await lengthWith({ text_config: undefined, max_position_embeddings: 1234 })).toBe(1234);
    await expect(lengthWith({ text_config: { model_type: 'other' } })).rejects.toThrow(
      /must say `max_position_embeddings`: it does not, and no default is known for "other"/,
    );
  });

  it('leaves no file behind of what it could not finish, and takes none that a download left', async () => {
    const copy = copyOf('llava');
    writeFileSync(join(copy, 'onnx/vision_encoder.onnx_data.deadbeef.part'), 'half');
    const { manifest } = await prepareModel(copy, { dtype: 'fp32' });
    expect(manifest.weights.map(({ path }) => path)).not.toContain(
      'onnx/vision_encoder.onnx_data.deadbeef.part',
    );
    cpSync(join(copy, 'onnx/embed_tokens_fp16.onnx'), join(copy, 'onnx/vision_encoder_fp16.onnx'));
    await expect(prepareModel(copy, { dtype: 'fp16' })).rejects.toThrow(/must hold attention/);
    expect(readdirSync(join(copy, 'onnx')).filter((name) => name.includes('untouched'))).toEqual([]);
  });

  it('says what a folder lacks', async () => {
    await expect(prepareModel(join(dir, 'nowhere'))).rejects.toThrow(
      /needs the file .*nowhere\/config.json: ENOENT/,
    );
    const copy = copyOf('llava');
    rmSync(join(copy, 'onnx/embed_tokens_q4f16.onnx'));
    const q4f16 = { vision: 'q4f16', embed: 'q4f16', decoder: 'q4f16' } as const;
    await expect(prepareModel(copy, { dtype: q4f16 })).rejects.toThrow(
      /llava must hold onnx\/embed_tokens as q4f16/,
    );
    // One type is the decoder's, and the nearest for the others.
    const { manifest } = await prepareModel(copy, { dtype: 'q4f16' });
    expect(manifest.dtypes).toEqual({ ...q4f16, embed: 'q4' });
    const config = JSON.parse(readFileSync(join(copy, 'config.json'), 'utf8'));
    writeFileSync(join(copy, 'config.json'), JSON.stringify({ ...config, model_type: 'paligemma' }));
    await expect(prepareModel(copy)).rejects.toThrow(/`model_type` of llava, .*; it has "paligemma"/);
    writeFileSync(join(copy, 'config.json'), JSON.stringify({ ...config, vision_feature_layer: [-2, 6] }));
    await expect(prepareModel(copy)).rejects.toThrow(/`vision_feature_layer`: expected one layer/);
  });

  it('says that a file is cut short, or no model at all', async () => {
    const copy = copyOf('llava');
    const file = join(copy, 'onnx/vision_encoder.onnx');
    truncateSync(file, statSync(file).size - 1000);
    await expect(prepareModel(copy, { dtype: 'fp32' })).rejects.toThrow(
      /vision_encoder.onnx is no whole ONNX model: .*beyond/,
    );
    writeFileSync(file, 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n');
    await expect(prepareModel(copy, { dtype: 'fp32' })).rejects.toThrow(
      /vision_encoder.onnx is no whole ONNX model/,
    );
    expect(existsSync(join(copy, 'visionzip.json'))).toBe(false);
  });

  it('says which operators there are where there is no attention', async () => {
    const copy = copyOf('llava');
    cpSync(join(copy, 'onnx/embed_tokens.onnx'), join(copy, 'onnx/vision_encoder.onnx'));
    await expect(prepareModel(copy, { dtype: 'fp32' })).rejects.toThrow(
      /the vision encoder must hold attention .* or blocks with residual additions; its operators are Gather/,
    );
  });
});

describe('a graph', () => {
  it('lets branches use what their outside was told to use', () => {
    const branch = (name: string) =>
      create(GraphProtoSchema, {
        node: [{ opType: 'Identity', input: ['past'], output: [name] }],
        output: [valueInfo(name, elementTypes.float16, [])],
      });
    const attribute = ['then_branch', 'else_branch'].map((name) => ({ name, g: branch(name) }));
    const choice = { opType: 'If', input: ['use_cache_branch'], output: ['logits'], attribute };
    const graph = new Graph(
      create(GraphProtoSchema, {
        node: [choice],
        input: [valueInfo('past', elementTypes.float16, [2])],
        output: [valueInfo('logits', elementTypes.float16, [2])],
      }),
    );
    expect(castEdges(graph)).toBe(true);
    const inner = graph.nodes('If')[0]!.attribute.map(({ g }) => g!.node[0]!.input);
    expect(inner).toEqual([['past/float16'], ['past/float16']]);
    // In an order that runs: the cast of the input first, that of the output last.
    expect(graph.proto.node.map(({ opType }) => opType)).toEqual(['Cast', 'If', 'Cast']);
  });
});

describe('looking at models', () => {
  it('measures the weights, wherever they lie, and the cache', async () => {
    const plain = copyOf('llava');
    const { manifest } = await prepareModel(plain, { dtype: 'fp32' });
    const size = await measureModel(plain, manifest);
    // 2 blocks × keys and values × 4 heads × 10 numbers × 4 bytes × 4096 tokens.
    expect(size.cacheBytes).toBe(2 * 2 * 4 * 10 * 4 * 4096);
    expect(size.decoder).toEqual({ layers: 2, kvHeads: 4, headWidth: 10 });
    const language = ['embed_tokens', 'decoder_model_merged'].map(
      (name) => statSync(join(plain, `onnx/${name}.onnx`)).size,
    );
    const original = language[0]! + language[1]!;
    expect(Math.abs(size.weightBytes.language / original - 1)).toBeLessThan(0.05);
  });

  it('refuses to load what does not fit into memory, with the figure', async () => {
    const copy = copyOf('llava');
    await prepareModel(copy, { dtype: 'fp32' });
    const file = join(copy, 'visionzip.json');
    const manifest = JSON.parse(readFileSync(file, 'utf8'));
    const tower = { ...manifest.tower, grid: { rows: 1000, columns: 1000 } };
    writeFileSync(file, JSON.stringify({ ...manifest, tower }));
    await expect(loadModel(copy)).rejects.toThrow(
      /llava needs about \d{9} MiB of memory, this machine gives \d+ MiB/,
    );
  });

  it('lists prepared models and those that were only pulled', async () => {
    await prepareModel(copyOf('llava'), { dtype: 'q4' });
    copyOf('nanollava');
    expect(await listModels([dir, join(dir, 'nowhere')])).toEqual([
      { name: 'llava', dir: join(dir, 'llava'), state: 'llava, q4' },
      { name: 'nanollava', dir: join(dir, 'nanollava'), state: 'not prepared' },
    ]);
  });
});
