import { Decoder } from '../decoder.js';
import type { NativeTower } from '../native-config.js';
import { Session, Tensor } from '../session.js';
import type { KvCache } from '../types.js';
import { feedNative } from '../vision.js';

/** How far a prepared graph is from the untouched one, on noise. */
export interface Difference {
  readonly what: string;
  /** The largest |a − b| / (1 + |b|), or the mean where `limit` is given. */
  readonly largest: number;
  /** How far it may be, where that is not the type's own limit. */
  readonly limit?: number;
}

interface VisionShape {
  readonly height: number;
  readonly width: number;
  /** Tokens without CLS. */
  readonly patches: number;
  /** Tokens at the front that do not enter the projector: CLS. */
  readonly dropped: number;
}

/**
 * Pictures through the untouched encoder one by one, and through the tower together and the projector: so frames do not mix
 * either.
 */
export async function compareVision(
  whole: string,
  tower: string,
  projector: string,
  shape: VisionShape,
  pictures: number,
  threads: number,
): Promise<Difference> {
  const { height, width, dropped } = shape;
  const { pixels, hidden, N, D } = await encodeNoise(tower, shape, pictures, threads);
  let largest = 0;
  for (let i = 0; i < pictures; i++) {
    const feeds = { pixel_values: new Tensor('float32', pixels(i), [1, 3, height, width]) };
    const expected = Object.values(await runOnce(whole, feeds, threads))[0]!;
    const kept = new Tensor('float32', hidden(i).slice(dropped * D), [N - dropped, D]);
    const { visual_tokens: found } = await runOnce(projector, { hidden: kept }, threads);
    largest = Math.max(largest, difference(floats(found!), floats(expected)));
  }
  return { what: 'visual tokens', largest };
}

/** The same for an encoder that was wrapped: pictures one by one, an image each, and through the tower together. */
export async function compareWrapped(
  whole: string,
  tower: string,
  shape: Omit<VisionShape, 'dropped'>,
  pictures: number,
  threads: number,
): Promise<Difference> {
  const { height, width } = shape;
  const { pixels, hidden } = await encodeNoise(tower, shape, pictures, threads);
  const mask = new Tensor('bool', new Uint8Array(height * width).fill(1), [1, 1, height, width]);
  const session = await Session.load(whole, threads, { inputs: ['pixel_values'], outputs: [] });
  let largest = 0;
  try {
    for (let i = 0; i < pictures; i++) {
      const feeds: Record<string, Tensor> = {
        pixel_values: new Tensor('float32', pixels(i), [1, 1, 3, height, width]),
      };
      if (session.inner.inputNames.includes('pixel_attention_mask')) feeds.pixel_attention_mask = mask;
      const expected = Object.values(await session.run(feeds))[0]!;
      largest = Math.max(largest, difference(hidden(i), floats(expected)));
    }
  } finally {
    await session.release();
  }
  return { what: 'visual tokens', largest };
}

/** Pictures of noise, and what the tower makes of them together, each (N, D). */
async function encodeNoise(
  tower: string,
  { height, width, patches }: Omit<VisionShape, 'dropped'>,
  pictures: number,
  threads: number,
) {
  const size = 3 * height * width;
  const all = noise(pictures * size);
  const together = new Tensor('float32', all, [pictures, 3, height, width]);
  const { hidden, keys, scores } = await runOnce(tower, { pixel_values: together }, threads);
  const [, N = 0, D = 0] = hidden!.dims;
  if (keys!.dims[1] !== N || scores!.dims[1] !== patches)
    throw new Error(
      `the prepared tower gives ${N} tokens, ${keys!.dims[1]} keys and ${scores!.dims[1]} scores for ${patches} patches`,
    );
  requireFinite({ scores: scores!, keys: keys! });
  return {
    ...{ N, D },
    pixels: (i: number) => all.slice(i * size, (i + 1) * size),
    hidden: (i: number) => floats(hidden!).slice(i * N * D, (i + 1) * N * D),
  };
}

/** Two grids that are not square, in tokens: an encoder must take more than one. */
const GRIDS = [
  { rows: 4, columns: 6 },
  { rows: 5, columns: 3 },
] as const;

/** The same for an encoder that takes pictures in their own proportions; also says how wide tokens and keys are. */
export async function compareMerger(
  whole: string,
  tower: string,
  native: NativeTower,
  threads: number,
): Promise<{ readonly difference: Difference; readonly width: number; readonly keyWidth: number }> {
  const { patchSize, mergeSize, framesTogether, gridInput } = native;
  const wants = { inputs: ['pixel_values', gridInput], outputs: [] };
  const [before, after] = [
    await Session.load(whole, threads, wants),
    await Session.load(tower, threads, wants),
  ];
  try {
    let largest = 0;
    let widths = { width: 0, keyWidth: 0 };
    for (const grid of GRIDS) {
      const T = grid.rows * grid.columns;
      const feeds = feedNative(noise(T * mergeSize ** 2 * 3 * framesTogether * patchSize ** 2), grid, native);
      const expected = await before.run(feeds);
      const { hidden, keys, scores } = await after.run(feeds);
      for (const [name, { dims }] of Object.entries({ hidden: hidden!, keys: keys!, scores: scores! }))
        if (dims[1] !== T) throw new Error(`the prepared tower's ${name} are ${dims[1]} for ${T} tokens`);
      requireFinite({ scores: scores!, keys: keys! });
      const [width, keyWidth] = [hidden!.dims[2]!, keys!.dims[2]!];
      widths = { width, keyWidth };
      largest = Math.max(largest, difference(floats(hidden!), besides(expected, before, T)));
    }
    return { difference: { what: 'visual tokens', largest }, ...widths };
  } finally {
    await before.release();
    await after.release();
  }
}

/** Tokens (T, H), and what DeepStack adds to later layers (layers, T, H) behind each. */
function besides(outputs: Record<string, Tensor>, { inner }: Session, T: number): Float32Array {
  const parts = inner.outputNames.flatMap((name) => {
    const data = floats(outputs[name]!);
    const width = outputs[name]!.dims.at(-1)!;
    const layers = data.length / (T * width);
    return Array.from({ length: layers }, (_, i) => ({ width, rows: data.subarray(i * T * width) }));
  });
  const all: number[] = [];
  for (let t = 0; t < T; t++)
    for (const { width, rows } of parts) all.push(...rows.subarray(t * width, (t + 1) * width));
  return Float32Array.from(all);
}

function requireFinite(tensors: Record<string, Tensor>): void {
  for (const [name, { data }] of Object.entries(tensors)) {
    const bad = (data as Float32Array).findIndex((value) => !Number.isFinite(value));
    if (bad >= 0)
      throw new Error(`the prepared tower's ${name} must be finite, number ${bad} is ${data[bad]}`);
  }
}

/**
 * A prompt of embeddings (S, H) and one more through both decoders: the logits of the last position each time. `inParts`
 * also gives the prompt to the cut one in two parts, as the worker does, and compares with the whole: a decoder that was
 * exported to take one token behind its past gives others, or none.
 */
export async function compareDecoders(
  whole: string,
  cut: string,
  inParts: boolean,
  threads: number,
): Promise<Difference[]> {
  const [expectedPrompt, expectedStep] = await runDecoder(whole, [7, 1], threads);
  const [prompt, step] = await runDecoder(cut, [7, 1], threads);
  const largest = Math.max(difference(prompt!, expectedPrompt!), difference(step!, expectedStep!));
  const differences = [{ what: 'logits', largest }];
  if (inParts) {
    const [, rest] = await runDecoder(cut, [4, 3], threads);
    differences.push({
      what: 'logits of a prompt in two parts',
      largest: difference(rest!, expectedPrompt!),
    });
  }
  return differences;
}

/** Changes of the input in its seventh digit: what they change of the output is the graph's own unrest. */
const NUDGES = [1, 1 + 3e-7, 1 + 1e-6, 1 + 3e-6, 1 + 1e-5];

/**
 * The same for a decoder that rounds activations by the largest of them: where another order of sums moves one across a
 * rounding, its logits jump, as the untouched one's do when its input is nudged. So the mean difference is held against
 * the largest that nudges make.
 */
export async function compareRoundingDecoders(
  whole: string,
  cut: string,
  least: number,
  threads: number,
): Promise<Difference[]> {
  const [expected, ...nudged] = await runNudged(whole, NUDGES, threads);
  const [found] = await runNudged(cut, [1], threads);
  const unrest = Math.max(...nudged.map((logits) => meanDifference(logits, expected!)));
  const limit = Math.max(least, unrest);
  return [{ what: 'logits, on average', largest: meanDifference(found!, expected!), limit }];
}

/** The logits of a prompt and of one more, for each nudge of the embeddings. */
async function runNudged(file: string, nudges: readonly number[], threads: number) {
  return withDecoder(file, threads, async (decoder) => {
    const all: Float32Array[] = [];
    for (const nudge of nudges) all.push(concatenate(await runParts(decoder, [7, 1], nudge)));
    return all;
  });
}

/** The logits behind each of several parts of one sequence of embeddings. */
function runDecoder(file: string, parts: readonly number[], threads: number): Promise<Float32Array[]> {
  return withDecoder(file, threads, (decoder) => runParts(decoder, parts));
}

async function withDecoder<T>(file: string, threads: number, use: (decoder: Decoder) => Promise<T>) {
  const session = await Session.load(file, threads, { inputs: ['inputs_embeds'], outputs: ['logits'] });
  return use(new Decoder(session)).finally(() => session.release());
}

async function runParts(decoder: Decoder, parts: readonly number[], factor = 1): Promise<Float32Array[]> {
  const embeds = noise(parts.reduce((sum, S) => sum + S, 0) * decoder.H).map((value) => value * factor);
  const logits: Float32Array[] = [];
  let past: KvCache | null = null;
  for (const S of parts) {
    const start: number = (past?.length ?? 0) * decoder.H;
    const step = await decoder.decode(embeds.slice(start, start + S * decoder.H), S, past);
    logits.push(step.logits);
    past = step.cache;
  }
  return logits;
}

/** One picture of noise, as a graph takes it. */
export function picture(height: number, width: number): Record<string, Tensor> {
  return { pixel_values: new Tensor('float32', noise(3 * height * width), [1, 3, height, width]) };
}

/** Loads a graph, runs it once, lets it go. */
export async function runOnce(
  file: string,
  feeds: Record<string, Tensor>,
  threads: number,
): Promise<Record<string, Tensor>> {
  const session = await Session.load(file, threads, { inputs: Object.keys(feeds), outputs: [] });
  try {
    return await session.run(feeds);
  } finally {
    await session.release();
  }
}

/** Numbers between −1 and 1 without a pattern, the same every time. */
function noise(count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => Math.sin(i * i * 0.731 + i * 1.379));
}

function floats(tensor: Tensor): Float32Array {
  return tensor.data as Float32Array;
}

function difference(found: Float32Array, expected: Float32Array): number {
  if (found.length !== expected.length)
    throw new Error(`the prepared graph gives ${found.length} numbers, the untouched one ${expected.length}`);
  let largest = 0;
  for (let i = 0; i < found.length; i++) {
    const distance = Math.abs(found[i]! - expected[i]!) / (1 + Math.abs(expected[i]!));
    if (Number.isNaN(distance)) return Number.POSITIVE_INFINITY;
    largest = Math.max(largest, distance);
  }
  return largest;
}

function meanDifference(found: Float32Array, expected: Float32Array): number {
  const sum = found.reduce((all, value, i) => {
    return all + Math.abs(value - expected[i]!) / (1 + Math.abs(expected[i]!));
  }, 0);
  return sum / found.length;
}

function concatenate(parts: readonly Float32Array[]): Float32Array {
  return Float32Array.from(parts.flatMap((part) => [...part]));
}
