import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ModelProtoSchema, type TensorProto } from '../src/models/graph/onnx_pb.js';
import { prepareModel } from '../src/models/prepare/prepare.js';

/*
 * What is said of a model's memory against what a process of its own takes: loading it, what the worker encodes at once, a usual
 * prompt. Graphs with as many patches as published ones and little else (training/published/true_patches.py).
 */

const fixtures = fileURLToPath(new URL('fixtures/memory', import.meta.url));
const script = fileURLToPath(new URL('../dist/scripts/bench/model-memory.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'visionzip-memory-'));

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe.runIf(process.platform === 'linux').each([
  ['llava', 'CLIP, 577 tokens'],
  ['llava_onevision', 'SigLIP, 729 patches, pooled'],
  ['smolvlm', 'SigLIP, 1,024 patches before a connector'],
  ['fast_vlm', 'convolutions over 1,024 × 1,024 pixels'],
  ['qwen2_5_vl', 'windows, 1,196 patches of a pair'],
  ['qwen3_5', '880 patches of a pair, recurrent layers'],
])('the memory of %s (%s)', (family) => {
  const dir = join(folder, family);

  beforeAll(async () => {
    cpSync(join(fixtures, family), dir, { recursive: true });
    const onnx = join(dir, 'onnx');
    for (const name of readdirSync(onnx).filter((file) => file.endsWith('.gz')))
      fill(join(onnx, name), join(onnx, name.slice(0, -'.gz'.length)));
    await prepareModel(dir);
  }, 300_000);

  it('is within a quarter of what is said', () => {
    const { memoryBytes, peakBytes } = JSON.parse(
      execFileSync(process.execPath, [script, dir], { encoding: 'utf8' }),
    ) as Record<string, number>;
    expect(memoryBytes! / peakBytes!).toBeGreaterThan(0.75);
    expect(memoryBytes! / peakBytes!).toBeLessThan(1.25);
  }, 300_000);
});

/** Writes a graph whose large weights were left out with numbers in their place. */
function fill(from: string, to: string): void {
  const model = fromBinary(ModelProtoSchema, gunzipSync(readFileSync(from)));
  for (const tensor of model.graph!.initializer) if (isLeftOut(tensor)) tensor.rawData = numbers(tensor);
  writeFileSync(to, toBinary(ModelProtoSchema, model));
}

function isLeftOut({ dims, dataType, rawData, floatData }: TensorProto): boolean {
  return dataType === 1 && sizeOf(dims) > 0 && rawData.length === 0 && floatData.length === 0;
}

/** Small enough that nothing grows from layer to layer. */
function numbers({ dims }: TensorProto): Uint8Array {
  const size = sizeOf(dims);
  const most = Math.sqrt(Number(dims.at(-1)!) / size);
  const values = Float32Array.from({ length: size }, (_, i) => (((i * 7919) % 1009) / 504 - 1) * most);
  return new Uint8Array(values.buffer);
}

function sizeOf(dims: readonly bigint[]): number {
  return Number(dims.reduce((product, size) => product * size, 1n));
}
