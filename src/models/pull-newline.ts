import { mkdir, rename, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { InputError } from '../errors.js';
import { type HubAccess, type HubFile, openHubFile } from './hub.js';
import { NEWLINE_FILE } from './layout.js';
import { writeVector } from './newline.js';

/** What the newline's embedding is called, last part first. */
const TENSOR = /(^|\.)image_newline$/;
/** A safetensors header is JSON of a few MB at most. */
const MOST_HEADER_BYTES = 100e6;

const tensorSchema = z.object({
  dtype: z.string(),
  shape: z.array(z.int()),
  data_offsets: z.tuple([z.int(), z.int()]),
});
const indexSchema = z.object({ weight_map: z.record(z.string(), z.string()) });

type Read = (path: string, start: number, end: number) => Promise<Buffer>;

/**
 * The newline's embedding, which exports for transformers.js lack, out of the original weights of the same repository: the
 * header of its safetensors file and that one tensor, by range requests. Written as float32 in NumPy's format.
 *
 * @returns bytes fetched; null where the repository has no such tensor.
 * @throws InputError for a file that is not as safetensors are.
 */
export async function pullNewline(
  access: HubAccess,
  commit: string,
  files: readonly HubFile[],
  dir: string,
  signal?: AbortSignal,
): Promise<number | null> {
  const target = join(dir, NEWLINE_FILE);
  if (await stat(target).catch(() => null)) return 0;
  let fetched = 0;
  const read: Read = async (path, start, end) => {
    const file = files.find((one) => one.path === path)!;
    const chunks: Uint8Array[] = [];
    for await (const chunk of await openHubFile(access, commit, file, start, signal, end)) chunks.push(chunk);
    const bytes = Buffer.concat(chunks);
    if (bytes.length !== end - start)
      throw new Error(`${path} gave ${bytes.length} bytes of the ${end - start} asked for`);
    fetched += bytes.length;
    return bytes;
  };
  const path = await findWeights(files, read);
  const vector = path && (await readTensor(path, read));
  if (!vector) return null;
  await mkdir(dirname(target), { recursive: true });
  await writeFile(`${target}.part`, writeVector(vector));
  await rename(`${target}.part`, target);
  return fetched;
}

/** The file that the tensor lies in. */
async function findWeights(files: readonly HubFile[], read: Read): Promise<string | undefined> {
  const has = (path: string) => files.find((file) => file.path === path);
  const index = has('model.safetensors.index.json');
  if (!index) return has('model.safetensors')?.path;
  const { weight_map } = indexSchema.parse(JSON.parse((await read(index.path, 0, index.bytes)).toString()));
  const named = Object.entries(weight_map).find(([tensor]) => TENSOR.test(tensor));
  return named && has(named[1])?.path;
}

async function readTensor(path: string, read: Read): Promise<Float32Array | null> {
  const length = Number((await read(path, 0, 8)).readBigUInt64LE());
  if (length > MOST_HEADER_BYTES)
    throw new InputError(`${path} must begin with the length of its header, it says ${length} bytes`);
  const header = JSON.parse((await read(path, 8, 8 + length)).toString()) as Record<string, unknown>;
  const entry = Object.entries(header).find(([name]) => TENSOR.test(name));
  if (!entry) return null;
  const { dtype, data_offsets } = tensorSchema.parse(entry[1]);
  const [start, end] = data_offsets.map((offset) => 8 + length + offset) as [number, number];
  return toFloats(await read(path, start, end), dtype, path);
}

function toFloats(bytes: Buffer, dtype: string, path: string): Float32Array {
  const count = bytes.length / (dtype === 'F32' ? 4 : 2);
  if (dtype === 'F32') return Float32Array.from({ length: count }, (_, i) => bytes.readFloatLE(4 * i));
  if (dtype === 'BF16') {
    const words = Uint32Array.from({ length: count }, (_, i) => bytes.readUInt16LE(2 * i) << 16);
    return new Float32Array(words.buffer);
  }
  if (dtype === 'F16')
    return Float32Array.from({ length: count }, (_, i) => halfToFloat(bytes.readUInt16LE(2 * i)));
  throw new InputError(`${path} must hold the newline as F32, F16 or BF16, it is ${dtype}`);
}

function halfToFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
