import { type FileHandle, open } from 'node:fs/promises';
import { basename } from 'node:path';
import { fromBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { InputError } from '../../errors.js';
import { type ModelProto, ModelProtoSchema } from './onnx_pb.js';

/** Weights of at least this many bytes stay in the file they are in. */
const STAYS_BYTES = 1024;
const WINDOW_BYTES = 1 << 16;
const RAW_DATA = 9;
const EXTERNAL_DATA = 13;
const DATA_LOCATION = 14;

/** The messages on the way from a model to its weights: which field holds which. */
const held: Record<string, Readonly<Record<number, string>>> = {
  model: { 7: 'graph' },
  graph: { 1: 'node', 5: 'weights' },
  node: { 5: 'attribute' },
  attribute: { 6: 'graph', 11: 'graph' },
};

/**
 * Reads a graph without its weights: those of at least 1 kB become external data that names byte ranges of the file
 * itself. What is read and kept of a file of any size is a few hundred kB. Throws an InputError where the file is no
 * ONNX model, or ends too early.
 */
export async function readGraph(path: string): Promise<ModelProto> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const bytes = await new Stripper(file, basename(path)).strip('model', 0, size);
    const model = fromBinary(ModelProtoSchema, bytes);
    if (!model.graph || model.opsetImport.length === 0) throw new Error('it holds no graph');
    return model;
  } catch (error) {
    throw new InputError(`${path} is no whole ONNX model: ${(error as Error).message}`, { cause: error });
  } finally {
    await file.close();
  }
}

/** Copies messages from a file, and names the place of large weights instead of copying them. */
class Stripper {
  #window = Buffer.alloc(0);
  #windowStart = 0;

  constructor(
    readonly file: FileHandle,
    readonly name: string,
  ) {}

  /** The message of a kind that lies from `start` to `end` in the file. */
  async strip(kind: string, start: number, end: number): Promise<Uint8Array> {
    const out = new BinaryWriter();
    let range: [offset: number, length: number] | undefined;
    for (let at = start; at < end; ) {
      const [tag, value] = await this.#varint(at, end);
      const [field, wire] = [tag >>> 3, tag & 7];
      const [from, to] = await this.#extent(wire, value, end);
      const inner = held[kind]?.[field];
      if (inner && wire === WireType.LengthDelimited)
        out.tag(field, wire).bytes(await this.strip(inner, from, to));
      else if (kind === 'weights' && field === RAW_DATA && to - from >= STAYS_BYTES)
        range = [from, to - from];
      else out.raw(await this.#bytes(at, to));
      at = to;
    }
    // At the end, where it prevails over a location that is written out already.
    if (range) this.#nameRange(out, ...range);
    return out.finish();
  }

  #nameRange(out: BinaryWriter, offset: number, length: number): void {
    for (const [key, value] of Object.entries({ location: this.name, offset, length })) {
      const entry = new BinaryWriter().tag(1, WireType.LengthDelimited).string(key);
      entry.tag(2, WireType.LengthDelimited).string(String(value));
      out.tag(EXTERNAL_DATA, WireType.LengthDelimited).bytes(entry.finish());
    }
    out.tag(DATA_LOCATION, WireType.Varint).int32(1);
  }

  /** Where the value of a field begins, its length apart, and where it ends. */
  async #extent(wire: number, at: number, end: number): Promise<[from: number, to: number]> {
    let from = at;
    let to = at;
    if (wire === WireType.Varint) [, to] = await this.#varint(at, end);
    else if (wire === WireType.Bit64) to += 8;
    else if (wire === WireType.Bit32) to += 4;
    else if (wire === WireType.LengthDelimited) {
      const [length, after] = await this.#varint(at, end);
      from = after;
      to = after + length;
    } else throw new Error(`byte ${at} is of no known kind`);
    if (to > end) throw new Error(`a field at byte ${at} ends at ${to}, beyond ${end}`);
    return [from, to];
  }

  /** The number at a place, and the place behind it. Numbers above 2^53 are only skipped, so their value is free. */
  async #varint(at: number, end: number): Promise<[value: number, after: number]> {
    const bytes = await this.#bytes(at, Math.min(at + 10, end));
    let value = 0;
    for (let i = 0; i < bytes.length; i++) {
      value += (bytes[i]! & 127) * 2 ** (7 * i);
      if (bytes[i]! < 128) return [value, at + i + 1];
    }
    throw new Error(`a number at byte ${at} has no end`);
  }

  async #bytes(from: number, to: number): Promise<Uint8Array> {
    const windowEnd = this.#windowStart + this.#window.length;
    if (from < this.#windowStart || to > windowEnd) {
      const window = Buffer.alloc(Math.max(WINDOW_BYTES, to - from));
      const { bytesRead } = await this.file.read(window, 0, window.length, from);
      if (bytesRead < to - from) throw new Error(`it ends within the bytes ${from} to ${to}`);
      this.#window = window.subarray(0, bytesRead);
      this.#windowStart = from;
    }
    return this.#window.subarray(from - this.#windowStart, to - this.#windowStart);
  }
}
