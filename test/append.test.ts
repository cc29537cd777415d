import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Decoder } from '../src/models/decoder.js';
import { attribute, Graph } from '../src/models/graph/graph.js';
import type { ModelProto } from '../src/models/graph/onnx_pb.js';
import { readGraph } from '../src/models/graph/read.js';
import { writeGraph } from '../src/models/graph/write.js';
import { KvBuffer } from '../src/models/kv-buffer.js';
import type { Dtype } from '../src/models/layout.js';
import { appendToCache } from '../src/models/prepare/append.js';
import { prepareAppending } from '../src/models/prepare/appending.js';
import type { Task } from '../src/models/prepare/task.js';
import { publishedConfigSchema } from '../src/models/published-config.js';
import { Session, Tensor } from '../src/models/session.js';
import type { KvCache } from '../src/models/types.js';
import { difference, readFloats } from './support/published.js';

/*
 * A tiny Llama, two heads of queries to one of keys and values, against transformers in float32
 * (training/published/decoder_fixture.py). Differences are |a − b| / (1 + |b|).
 */

const fixture = fileURLToPath(new URL('fixtures/decoder', import.meta.url));
const nano = fileURLToPath(new URL('../models/nano/onnx/decoder.onnx', import.meta.url));
const [H, V] = [32, 48];
const embeds = readFloats(join(fixture, 'embeds.f32')); // (150, H)
const logits = readFloats(join(fixture, 'logits.f32')); // (150, V)
const config = publishedConfigSchema.parse(JSON.parse(readFileSync(join(fixture, 'config.json'), 'utf8')));
const LIMIT = 1e-4;
let dir: string;

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'visionzip-append-'));
  cpSync(join(fixture, 'onnx'), join(dir, 'onnx'), { recursive: true });
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const suffix = (dtype: Dtype) => (dtype === 'fp32' ? '' : `_${dtype}`);
const original = (dtype: Dtype) => join(dir, `onnx/decoder_model_merged${suffix(dtype)}.onnx`);
const rows = (values: Float32Array, width: number, from: number, to: number) =>
  values.slice(from * width, to * width);
const load = async (file: string) =>
  new Decoder(await Session.load(file, 1, { inputs: ['inputs_embeds'], outputs: ['logits'] }));

/** The fixture's decoder after `appendToCache`. */
async function loadAppending(dtype: Dtype): Promise<Decoder> {
  const model = await readGraph(original(dtype));
  expect(appendToCache(model, config)).toBe(true);
  const file = join(dir, `onnx/appending${suffix(dtype)}.onnx`);
  await writeGraph(file, model, model.graph!);
  return load(file);
}

/** The tokens from `from` on, so many at a time; expects transformers' logits behind each part. */
async function expectLogits(decoder: Decoder, past: KvCache | null, parts: readonly number[]) {
  let cache = past;
  for (const S of parts) {
    const start: number = cache?.length ?? 0;
    const step = await decoder.decode(rows(embeds, H, start, start + S), S, cache);
    const end = start + S;
    expect(difference(step.logits, rows(logits, V, end - 1, end)), `token ${end}`).toBeLessThan(LIMIT);
    cache = step.cache;
  }
  return cache!;
}

function ones(count: number): number[] {
  return Array.from({ length: count }, () => 1);
}

/** A task that prepares the fixture's decoder and nothing else. */
function taskOf(dtype: Dtype, said: string[] = []): Task {
  return {
    path: dir,
    config,
    threads: 1,
    graphs: {
      graphs: { decoder: `onnx/decoder_model_merged${suffix(dtype)}.onnx` },
      dtypes: { decoder: dtype },
    },
    step: (what: string) => said.push(what),
  } as unknown as Task;
}

describe('a decoder that gives new keys and values alone', () => {
  it.each([
    ['in one go', [150]],
    ['token by token', ones(150)],
    ['a prompt, a question, an answer', [40, 9, ...ones(20), 1, 60, ...ones(20)]],
    ['past the room that is made at once, 128 and 256', [127, 1, 1, 1, 20]],
  ])('gives the logits of transformers: %s', async (_, parts) => {
    const decoder = await loadAppending('fp32');
    expect(decoder.session.inner.outputNames).toContain('appended.1.value');
    expect(decoder.session.inner.outputNames).not.toContain('present.1.value');
    await expectLogits(decoder, null, parts);
  });

  it('lets several answers go on from one cache, in turn', async () => {
    const decoder = await loadAppending('fp32');
    const video = await expectLogits(decoder, null, [50]);
    const first = await expectLogits(decoder, video, [5, 1]);
    const other = await decoder.decode(rows(embeds, H, 100, 110), 10, video);
    const second = await expectLogits(decoder, first, [1, 1, 30]);
    await decoder.decode(rows(embeds, H, 0, 1), 1, other.cache);
    await expectLogits(decoder, second, [1, 60, 1]);
    await expectLogits(decoder, video, [7, 1, 1]);
  });

  it('gives what the untouched graph gives for a prompt that goes through in parts', async () => {
    const decoder = await loadAppending('fp32');
    const S = 1100;
    const prompt = Float32Array.from({ length: S * H }, (_, i) => embeds[(i * 7) % embeds.length]!);
    const found = await decoder.decode(prompt, S, null);
    const whole = await Session.load(original('fp32'), 1, { inputs: [], outputs: [] });
    const empty = new Tensor('float32', new Float32Array(0), [1, 2, 0, 8]);
    const expected = await whole.run({
      inputs_embeds: new Tensor('float32', prompt, [1, S, H]),
      attention_mask: new Tensor('int64', new BigInt64Array(S).fill(1n), [1, S]),
      position_ids: new Tensor(
        'int64',
        BigInt64Array.from({ length: S }, (_, i) => BigInt(i)),
        [1, S],
      ),
      ...Object.fromEntries(
        whole.inner.inputNames.filter((name) => name.startsWith('past')).map((name) => [name, empty]),
      ),
    });
    const last = rows(expected.logits!.data as Float32Array, V, S - 1, S);
    expect(difference(found.logits, last)).toBeLessThan(LIMIT);
  });

  it("is made of the shipped model's decoder as well, whose heads share nothing", async () => {
    const copy = join(dir, 'onnx/nano.onnx');
    cpSync(nano, copy);
    const model = await readGraph(copy);
    expect(appendToCache(model, { model_type: 'llava' })).toBe(true);
    await writeGraph(join(dir, 'onnx/nano_appending.onnx'), model, model.graph!);
    const [plain, appending] = [await load(copy), await load(join(dir, 'onnx/nano_appending.onnx'))];
    const prompt = Float32Array.from({ length: 140 * plain.H }, (_, i) => Math.sin(i * i * 0.731));
    const pasts: { plain: KvCache | null; appending: KvCache | null } = { plain: null, appending: null };
    for (const [from, S] of [
      [0, 120],
      [120, 1],
      [121, 9],
      [130, 1],
    ] as const) {
      const part = rows(prompt, plain.H, from, from + S);
      const expected = await plain.decode(part, S, pasts.plain);
      const found = await appending.decode(part, S, pasts.appending);
      expect(difference(found.logits, expected.logits), `${S} tokens from ${from} on`).toBeLessThan(LIMIT);
      Object.assign(pasts, { plain: expected.cache, appending: found.cache });
    }
  });
});

describe('preparing it', () => {
  it.each(['fp32', 'int8', 'q4'] as const)(
    'is done in %s, and compared with the untouched graph',
    async (dtype) => {
      const differences = await prepareAppending(taskOf(dtype), original(dtype), 'onnx/prepared.onnx', 1e-3);
      expect(differences).toBeDefined();
      const decoder = await load(join(dir, 'onnx/prepared.onnx'));
      expect(decoder.session.inner.outputNames).toContain('appended.0.key');
    },
  );

  it('leaves a decoder as it is that sees through a window, or is built otherwise', async () => {
    const appends = async (text: object, change: (graph: Graph) => void = () => {}) => {
      const model = await readGraph(original('fp32'));
      change(new Graph(model.graph!));
      const before = model.graph!.node.length;
      const does = appendToCache(model, { ...config, text_config: { ...config.text_config!, ...text } });
      if (!does) expect(model.graph!.node).toHaveLength(before);
      return does;
    };
    expect(await appends({})).toBe(true);
    expect(await appends({ sliding_window: 4096 })).toBe(false);
    expect(await appends({ sliding_window: 4096, use_sliding_window: false })).toBe(true);
    expect(await appends({ model_type: 'mistral' })).toBe(false);
    expect(await appends({ model_type: 'mistral', sliding_window: null })).toBe(true);
    expect(await appends({ layer_types: ['full_attention', 'sliding_attention'] })).toBe(false);
    expect(await appends({}, (graph) => cap(graph))).toBe(false);
  });

  it('leaves no file of a decoder whose tokens see those behind them, and says so', async () => {
    const said: string[] = [];
    const [path, unmasked] = [original('fp32'), join(dir, 'onnx/unmasked.onnx')];
    const model = await readGraph(path);
    unmask(model);
    await writeGraph(unmasked, model, model.graph!);
    const prepared = await prepareAppending(taskOf('fp32', said), unmasked, 'onnx/refused.onnx', 1e-3);
    expect(prepared).toBeUndefined();
    expect(existsSync(join(dir, 'onnx/refused.onnx'))).toBe(false);
    expect(said.at(-1)).toBe('it gives others: all keys and values go in and out');
  });
});

/** Scores between −1 and 1 in the first layer. */
function cap(graph: Graph): void {
  const [softmax] = graph.nodes('Softmax');
  softmax!.input[0] = graph.add('Tanh', [softmax!.input[0]!]);
}

/** Lets each token of a prompt see those behind it. */
function unmask({ graph }: ModelProto): void {
  const [mask] = new Graph(graph!).nodes('Greater');
  mask!.opType = 'Less';
  expect(attribute(mask!, 'axis')).toBeUndefined();
}

describe('a buffer of keys and values', () => {
  const name = 'past_key_values.0.key';
  const of = (...values: number[]) => ({
    [name]: new Tensor('float32', Float32Array.from(values), [1, 2, values.length / 2, 1]),
  });
  const empty = () =>
    KvBuffer.of({
      [name]: new Tensor('float32', new Float32Array(0), [1, 2, 0, 1]),
      past_conv: of(1, 2)[name]!,
    });
  const tokens = (buffer: KvBuffer, count: number) => {
    const { dims, data } = buffer.tensors[name]!;
    return [0, 1].map((head) => [...(data as Float32Array).slice(head * dims[2]!, head * dims[2]! + count)]);
  };

  it('puts new tokens behind those of each head, where there is room, and keeps nothing else', () => {
    const first = empty().append(0, 2, of(1, 2, 11, 12));
    expect(Object.keys(first.tensors)).toEqual([name]);
    expect(first.tensors[name]!.dims).toEqual([1, 2, 128, 1]);
    const second = first.append(2, 1, of(3, 13));
    expect(second).toBe(first);
    expect(tokens(second, 3)).toEqual([
      [1, 2, 3],
      [11, 12, 13],
    ]);
  });

  it('copies what another answer has put its own tokens behind', () => {
    const video = empty().append(0, 2, of(1, 2, 11, 12));
    const first = video.append(2, 1, of(3, 13));
    const second = video.append(2, 2, of(7, 8, 17, 18));
    expect(second).not.toBe(first);
    expect(tokens(first, 3)).toEqual([
      [1, 2, 3],
      [11, 12, 13],
    ]);
    expect(tokens(second, 4)).toEqual([
      [1, 2, 7, 8],
      [11, 12, 17, 18],
    ]);
  });

  it('makes room for 128 more when it is full', () => {
    const full = empty().append(0, 128, of(...Array.from({ length: 256 }, (_, i) => i)));
    expect(full.tensors[name]!.dims[2]).toBe(128);
    const more = full.append(128, 1, of(-1, -2));
    expect(more.tensors[name]!.dims[2]).toBe(256);
    expect(tokens(more, 129).map((head) => head.slice(126))).toEqual([
      [126, 127, -1],
      [254, 255, -2],
    ]);
  });
});
