import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Manifest } from '../src/models/manifest.js';
import { readNewline } from '../src/models/newline.js';
import { pullModel } from '../src/models/pull.js';
import { HubServer } from './hub-server.js';

const weights = randomBytes(300_000);
const files = {
  'config.json': '{"model_type":"llava"}',
  'preprocessor_config.json': '{}',
  'tokenizer.json': '{}',
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
      files: 7,
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
        'config.json': '{"model_type":"llava_onevision"}',
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
      expect(pulled.files).toBe(6);
      expect(readdirSync(dir, { recursive: true }).length).toBe(7);
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
    expect(hub.sent).toBeLessThan(100);
  });

  it('stops when told to', async () => {
    const signal = AbortSignal.abort(new Error('stopped'));
    await expect(pullModel({ access: access(), dtype: 'q4', dir, signal })).rejects.toThrow();
    expect(existsSync(join(dir, 'onnx/embed_tokens_q4.onnx'))).toBe(false);
  });
});
