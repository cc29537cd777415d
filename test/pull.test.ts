import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Manifest } from '../src/models/manifest.js';
import { readNewline } from '../src/models/newline.js';
import { pullModel } from '../src/models/pull.js';
import type { PullPlan } from '../src/models/pull-plan.js';
import { HubServer } from './hub-server.js';

const weights = randomBytes(300_000);
// Small files of less than 100 bytes, which the stand-in does not keep apart.
const files = {
  'config.json': '{"model_type":"llava","max_position_embeddings":64}',
  'preprocessor_config.json': '{"size":{"height":4,"width":4},"image_mean":[0,0,0],"image_std":[1,1,1]}',
  'tokenizer.json': '{"added_tokens":[{"id":3,"content":"<image>"}]}',
  'tokenizer_config.json': '{"eos_token":"<image>","chat_template":""}',
  'README.md': 'not needed',
  'onnx/vision_encoder.onnx': randomBytes(5_000),
  'onnx/embed_tokens.onnx': randomBytes(5_000),
  'onnx/decoder_model_merged.onnx': randomBytes(5_000),
  'onnx/decoder_model_merged.onnx_data': weights,
  'onnx/vision_encoder_q4.onnx': randomBytes(400),
  'onnx/embed_tokens_q4.onnx': randomBytes(400),
  'onnx/decoder_model_merged_q4.onnx': randomBytes(400),
  'onnx/vision_encoder_fp16.onnx': randomBytes(400),
};

let dir: string;
let hub: HubServer;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'visionzip-pull-'));
  hub = await HubServer.start('maker/model', files);
});

afterEach(async () => {
  await hub.stop();
  rmSync(dir, { recursive: true, force: true });
});

/** What takes files out. */
const without = (gone: RegExp) =>
  Object.fromEntries(Object.keys(files).flatMap((path) => (gone.test(path) ? [[path, undefined]] : [])));

const access = (token: string | null = null) => ({ endpoint: hub.endpoint, token, id: hub.id });
const read = (path: string) => readFileSync(join(dir, path));

describe('pulling a model', () => {
  it('fetches the files of one type and no others, each whole, and says how far it is', async () => {
    const progress: [number, number][] = [];
    const onProgress = (done: number, total: number) => void progress.push([done, total]);
    const pulled = await pullModel({ access: access(), dtype: 'fp32', dir, onProgress });
    expect(pulled).toMatchObject({
      dtypes: { decoder: 'fp32' },
      commit: hub.commit,
      files: 8,
      fetched: pulled.bytes,
    });
    expect(read('onnx/decoder_model_merged.onnx_data').equals(weights)).toBe(true);
    expect(read('config.json').toString()).toBe(files['config.json']);
    expect(existsSync(join(dir, 'README.md'))).toBe(false);
    expect(existsSync(join(dir, 'onnx/vision_encoder_q4.onnx'))).toBe(false);
    expect(progress.at(-1)).toEqual([pulled.bytes, pulled.bytes]);
    expect(progress.map(([done]) => done)).toEqual(progress.map(([done]) => done).sort((a, b) => a - b));
  });

  it('takes the first type that has all graphs when none is asked for', async () => {
    expect((await pullModel({ access: access(), dir })).dtypes.decoder).toBe('q4');
  });

  it('takes a type for each part, where that is asked for', async () => {
    const dtype = { vision: 'fp16', embed: 'fp32', decoder: 'q4' } as const;
    expect((await pullModel({ access: access(), dtype, dir })).dtypes).toEqual(dtype);
    expect(readdirSync(join(dir, 'onnx')).sort()).toEqual([
      'decoder_model_merged_q4.onnx',
      'embed_tokens.onnx',
      'vision_encoder_fp16.onnx',
    ]);
  });

  it('reads what model it is before anything else, and refuses one that it cannot use', async () => {
    await hub.stop();
    hub = await HubServer.start('maker/other', { ...files, 'config.json': '{"model_type":"gpt2"}' });
    await expect(pullModel({ access: access(), dir })).rejects.toThrow(
      /`model_type` of llava.*; it has "gpt2"/,
    );
    expect(readdirSync(dir)).toEqual(['config.json']);
  });

  it.each<[string, Record<string, string | undefined>, RegExp, number]>([
    [
      'no graphs',
      without(/^onnx/),
      /must hold onnx\/vision_encoder; its graphs are none: .* often have a repository of their own, whose name ends in -ONNX/,
      1,
    ],
    [
      'text alone',
      { ...without(/vision_encoder/), 'onnx/model_q4.onnx': 'x' },
      /must hold onnx\/vision_encoder; its graphs are .*: it has no vision encoder, and seems to read text alone/,
      1,
    ],
    [
      'another layout',
      { ...without(/^onnx/), 'onnxruntime/vision.onnx': 'x' },
      /its graphs are onnxruntime\/vision.onnx: this is not the layout of transformers.js/,
      1,
    ],
    [
      'two decoders in place of a merged one',
      { ...without(/decoder/), 'onnx/decoder_model.onnx': 'x', 'onnx/decoder_with_past_model.onnx': 'x' },
      /must hold onnx\/decoder_model_merged; .*: of decoders it needs the merged one, which runs with a cache/,
      1,
    ],
    ['no tokenizer', without(/^tokenizer/), /must hold tokenizer.json and tokenizer_config.json, which/, 1],
    ['no config.json', without(/^config/), /must hold config.json, which says what model it is/, 0],
    [
      'no picture token',
      { 'tokenizer.json': '{"added_tokens":[]}' },
      /tokenizer.json must name the image token <image>/,
      4,
    ],
    ['no template', { 'tokenizer_config.json': '{"eos_token":"<image>"}' }, /must hold a chat template/, 4],
    [
      'no preprocessing',
      { 'preprocessor_config.json': '{"processor_class":"LlavaProcessor"}' },
      /preprocessor_config.json is not as expected: `size`/,
      4,
    ],
    [
      'no context length',
      { 'config.json': '{"model_type":"llava","text_config":{"model_type":"phi"}}' },
      /must say `max_position_embeddings`/,
      4,
    ],
  ])('refuses a repository with %s before its weights', async (_, changed, message, asked) => {
    await hub.stop();
    const all = Object.entries({ ...files, ...changed }).filter(([, content]) => content !== undefined);
    hub = await HubServer.start('maker/other', Object.fromEntries(all) as Record<string, string>);
    await expect(pullModel({ access: access(), dir })).rejects.toThrow(message);
    expect(hub.filesAsked.filter((path) => path.startsWith('onnx'))).toEqual([]);
    expect(hub.filesAsked).toHaveLength(asked);
  });

  it.each(['one file', 'several files'])(
    'takes the newline out of the original weights in %s',
    async (how) => {
      await hub.stop();
      const newline = [0.5, -2, 3, 1.25];
      const bytes = Buffer.alloc(8);
      // The upper halves of float32 numbers.
      newline.forEach((value, i) => {
        const whole = Buffer.alloc(4);
        whole.writeFloatLE(value);
        whole.copy(bytes, 2 * i, 2, 4);
      });
      const header = JSON.stringify({
        'model.embed.weight': { dtype: 'BF16', shape: [50_000], data_offsets: [0, 100_000] },
        'model.image_newline': { dtype: 'BF16', shape: [4], data_offsets: [100_000, 100_008] },
      });
      const length = Buffer.alloc(8);
      length.writeBigUInt64LE(BigInt(header.length));
      const safetensors = Buffer.concat([length, Buffer.from(header), randomBytes(100_000), bytes]);
      const name = how === 'one file' ? 'model.safetensors' : 'model-00002-of-00002.safetensors';
      const index = JSON.stringify({ weight_map: { 'model.image_newline': name, other: 'none' } });
      hub = await HubServer.start('maker/onevision', {
        ...files,
        'config.json': '{"model_type":"llava_onevision","max_position_embeddings":64}',
        [name]: safetensors,
        ...(how === 'one file' ? {} : { 'model.safetensors.index.json': index }),
      });
      const pulled = await pullModel({ access: access(), dtype: 'fp32', dir });
      expect(existsSync(join(dir, name))).toBe(false);
      // Of the weights nothing but the header and the tensor.
      expect(pulled.fetched - pulled.bytes).toBeLessThan(1_000);
      const manifest = { newlineTokens: 'after-video', files: { newline: 'onnx/image_newline.npy' } };
      const read = await readNewline(dir, manifest as unknown as Manifest);
      expect([...read!.embedding]).toEqual(newline);
      expect((await pullModel({ access: access(), dtype: 'fp32', dir })).fetched).toBe(0);
    },
  );

  it('says before the weights what they are and under which licence, and asks for nothing that is not needed', async () => {
    await hub.stop();
    const info = { cardData: { license: 'other', license_name: 'maker-research', license_link: 'LICENSE' } };
    hub = await HubServer.start('maker/model', { ...files, 'chat_template.jinja': 'x' }, info);
    const told: [PullPlan, string[]][] = [];
    const onPlan = (plan: PullPlan) => void told.push([plan, hub.filesAsked]);
    const dry = await pullModel({ access: access(), dtype: 'fp32', dir, onPlan, dryRun: true });
    const small = Object.keys({ ...files, 'chat_template.jinja': '' }).filter((path) =>
      /^[a-z_]+\.j/.test(path),
    );
    expect(told.map(([, asked]) => asked)).toEqual([small.sort()]);
    expect(dry).toMatchObject({ ...told[0]![0], dir });
    const others = small.reduce((sum, path) => sum + hub.files.get(path)!.length, 0);
    expect(dry).toMatchObject({
      ...{ id: 'maker/model', family: 'llava', files: 9, bytes: others + 315_000, fetched: others },
      license: { name: 'maker-research', link: 'LICENSE' },
      licenseWarning: expect.stringMatching(/maker-research forbids commercial use or allows research alone/),
      partBytes: { vision: 5_000, embed: 5_000, decoder: 305_000, others },
      memory: { weightBytes: 315_000 },
    });
    expect(dry.memory.totalBytes).toBe(
      dry.memory.weightBytes + dry.memory.cacheBytes + dry.memory.towerBytes,
    );

    hub.requests.length = 0;
    const { fetched } = await pullModel({ access: access(), dtype: 'fp32', dir });
    expect(fetched).toBe(315_000);
    const weights = ['decoder_model_merged.onnx', 'decoder_model_merged.onnx_data', 'embed_tokens.onnx'];
    expect(hub.filesAsked).toEqual([...weights, 'vision_encoder.onnx'].map((name) => `onnx/${name}`));
    expect(hub.requests.filter((url) => url.startsWith('/api/'))).toEqual([
      `/api/models/maker/model/revision/main`,
      `/api/models/maker/model/tree/${hub.commit}`,
    ]);
  });

  it('reads one of two chat templates, the one that counts', async () => {
    await hub.stop();
    const both = { 'chat_template.jinja': 'x', 'chat_template.json': '{"chat_template":"x"}' };
    hub = await HubServer.start('maker/model', { ...files, ...both });
    await pullModel({ access: access(), dir, dryRun: true });
    expect(hub.filesAsked.filter((path) => path.startsWith('chat'))).toEqual(['chat_template.jinja']);
  });

  it('fetches nothing twice, and again what was changed on the disk', async () => {
    await pullModel({ access: access(), dtype: 'fp32', dir });
    const { sent } = hub;
    expect((await pullModel({ access: access(), dtype: 'fp32', dir })).fetched).toBe(0);
    expect(hub.sent).toBe(sent);
    writeFileSync(join(dir, 'onnx/embed_tokens.onnx'), randomBytes(5_000));
    expect((await pullModel({ access: access(), dtype: 'fp32', dir })).fetched).toBe(5_000);
    expect(read('onnx/embed_tokens.onnx').equals(files['onnx/embed_tokens.onnx'])).toBe(true);
  });

  it('goes on where a connection was cut', async () => {
    hub.faults = { cut: { after: 100_000, times: 2 } };
    const pulled = await pullModel({ access: access(), dtype: 'fp32', dir });
    expect(read('onnx/decoder_model_merged.onnx_data').equals(weights)).toBe(true);
    expect(hub.faults.cut?.times).toBe(0);
    // Nothing that had arrived was asked for again.
    expect(pulled.fetched).toBe(pulled.bytes);
  });

  it('goes on where the content ended early without a word', async () => {
    hub.faults = { short: { after: 100_000, times: 2 } };
    const pulled = await pullModel({ access: access(), dtype: 'fp32', dir });
    expect(hub.faults.short?.times).toBe(0);
    expect(pulled.fetched).toBe(pulled.bytes);
    expect(read('onnx/decoder_model_merged.onnx_data').equals(weights)).toBe(true);
  });

  it('keeps what arrived when it gives up, and the next call goes on from there', async () => {
    hub.faults = { cut: { after: 10_000, times: 100 } };
    await expect(pullModel({ access: access(), dtype: 'fp32', dir })).rejects.toThrow();
    expect(existsSync(join(dir, 'onnx/decoder_model_merged.onnx_data'))).toBe(false);
    hub.faults = {};
    const pulled = await pullModel({ access: access(), dtype: 'fp32', dir });
    expect(pulled.fetched).toBeLessThan(pulled.bytes - 40_000);
    expect(read('onnx/decoder_model_merged.onnx_data').equals(weights)).toBe(true);
  });

  it('refuses a file whose digest is not the promised one, and leaves none of it', async () => {
    hub.faults = { wrongDigest: '0'.repeat(64) };
    await expect(pullModel({ access: access(), dtype: 'q4', dir })).rejects.toThrow(
      /_q4\.onnx of maker\/model arrived with the sha256 digest [0-9a-f]{64}, expected 0{64}/,
    );
    expect(existsSync(join(dir, 'onnx/embed_tokens_q4.onnx'))).toBe(false);
    expect(readdirSync(join(dir, 'onnx'))).toEqual([]);
  });

  it('asks for a token where the hub wants one, and brings it', async () => {
    hub.faults = { token: 'hf_right' };
    await expect(pullModel({ access: access(), dtype: 'q4', dir })).rejects.toThrow(
      /does not show maker\/model to this user \(401\).*HF_TOKEN/,
    );
    await expect(pullModel({ access: access('hf_wrong'), dtype: 'q4', dir })).rejects.toThrow(/\(401\)/);
    expect((await pullModel({ access: access('hf_right'), dtype: 'q4', dir })).dtypes.decoder).toBe('q4');
  });

  it('gives the token to the hub and to nobody else', async () => {
    const store = await HubServer.start(hub.id, files);
    hub.faults = { token: 'hf_right', store: store.endpoint };
    try {
      await pullModel({ access: access('hf_right'), dtype: 'q4', dir });
      expect(store.authorizations.length).toBeGreaterThan(0);
      expect(store.authorizations.filter(Boolean)).toEqual([]);
      expect(hub.authorizations.filter(Boolean).length).toBeGreaterThan(0);
    } finally {
      await store.stop();
    }
  });

  it('tries again when the hub is busy, and names a hub that cannot be reached', async () => {
    hub.faults = { busy: 2 };
    await pullModel({ access: access(), dtype: 'q4', dir });
    expect(hub.faults.busy).toBe(0);
    const nowhere = { ...access(), endpoint: 'http://127.0.0.1:9' };
    await expect(pullModel({ access: nowhere, dir })).rejects.toThrow(
      'http://127.0.0.1:9 cannot be reached: ',
    );
  });

  it('writes no file outside the folder', async () => {
    const evil = await HubServer.start('maker/evil', {
      ...files,
      'onnx/vision_encoder_q4.onnx_data/../../../../x': 'x',
    });
    try {
      const pulled = await pullModel({
        access: { ...access(), endpoint: evil.endpoint, id: 'maker/evil' },
        dtype: 'q4',
        dir,
      });
      expect(pulled.files).toBe(7);
      expect(readdirSync(dir, { recursive: true }).length).toBe(8);
    } finally {
      await evil.stop();
    }
  });

  it('says what is not there: a model, a revision, a type', async () => {
    const other = { ...access(), id: 'maker/other' };
    await expect(pullModel({ access: other, dir })).rejects.toThrow(
      /has no model maker\/other at revision main/,
    );
    await expect(pullModel({ access: access(), revision: 'v9', dir })).rejects.toThrow(/at revision v9/);
    await expect(pullModel({ access: access(), dtype: 'fp16', dir })).rejects.toThrow(
      /maker\/model must hold onnx\/decoder_model_merged as fp16 \(ending "_fp16.onnx"\); its graphs are onnx\/vision_encoder.onnx/,
    );
  });

  it('does not begin what the disk cannot hold', async () => {
    hub.faults = { claimBytes: 1e15 };
    await expect(pullModel({ access: access(), dtype: 'q4', dir })).rejects.toThrow(
      /needs \d{10} MiB for the download, \d+ MiB are free/,
    );
    // What model it is, and nothing of its weights.
    expect(hub.filesAsked.filter((path) => path.startsWith('onnx/'))).toEqual([]);
  });

  it('says what it would be where the disk is too small for the weights', async () => {
    hub.faults = { claimBytes: 1e15 };
    const dry = await pullModel({ access: access(), dtype: 'q4', dir, dryRun: true });
    expect(dry.partBytes).toMatchObject({ vision: 1e15, embed: 1e15, decoder: 1e15 });
  });

  it('does not begin the small files where the disk cannot hold them', async () => {
    await hub.stop();
    hub = await HubServer.start('maker/model', {
      ...files,
      'tokenizer.json': files['tokenizer.json'].padEnd(200),
    });
    hub.faults = { claimBytes: 1e15 };
    await expect(pullModel({ access: access(), dtype: 'q4', dir, dryRun: true })).rejects.toThrow(
      /needs \d{9,} MiB for the download/,
    );
    expect(hub.filesAsked).toEqual(['config.json']);
  });

  it('stops when told to', async () => {
    const signal = AbortSignal.abort(new Error('stopped'));
    await expect(pullModel({ access: access(), dtype: 'q4', dir, signal })).rejects.toThrow();
    expect(existsSync(join(dir, 'onnx/embed_tokens_q4.onnx'))).toBe(false);
  });
});
