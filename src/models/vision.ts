import { InputError } from '../errors.js';
import { type Manifest, takesFramesAlone } from './manifest.js';
import type { NativeTower } from './native-config.js';
import { type Grid, resampleGrid } from './pool.js';
import type { Preprocessor } from './preprocess.js';
import { type Session, Tensor } from './session.js';
import type { EncodedFrame, NativeResolution, PreparedFrame, Vision } from './types.js';

interface VisionSessions {
  readonly tower: Session;
  readonly projector: Session | undefined;
  readonly projectorTuned: Session | undefined;
}

/** What of a tower is run. */
export type VisionRun = Pick<Vision, 'prepare' | 'show' | 'encode' | 'project'>;

/** @param pictures how they are prepared: all to one size, or in their own proportions. */
export function createVision(
  manifest: Manifest,
  sessions: VisionSessions,
  { preprocessor, native }: { readonly preprocessor?: Preprocessor; readonly native?: NativeResolution },
): VisionRun {
  if (preprocessor)
    return {
      prepare: (frame) => preprocessor.preprocess(frame),
      show: (frame) => preprocessor.show(frame),
      ...inOrder(manifest, sessions, preprocessor),
    };
  const graph = manifest.tower.native!;
  return {
    prepare: (frame) => {
      const shape = { width: frame.width, height: frame.height, frames: 1, isStill: true };
      return native!.prepare([frame], native!.gridOf(shape), true);
    },
    show: (frame, grid) => native!.show(frame, grid!),
    encode: (frames) => oneByOne(frames, async (frame) => [await runNative(sessions.tower, frame, graph)]),
    project: async (tokens) => tokens,
  };
}

/**
 * Encode and project in the family's order. Where tokens are projected before any is left out, projecting and pooling
 * belong to encoding: what the pipeline calls the tower's tokens are the language model's already.
 */
function inOrder(
  manifest: Manifest,
  { tower, projector, projectorTuned }: VisionSessions,
  size: Pick<Preprocessor, 'width' | 'height'>,
): Pick<Vision, 'encode' | 'project'> {
  const { order } = manifest;
  const { grid: patches, pooled } = manifest.tower;
  const grid = order === 'project-compress' && pooled ? pooled : patches;
  const alone = takesFramesAlone(manifest);
  const encode = (frames: readonly PreparedFrame[]) =>
    alone ? oneByOne(frames, (frame) => run(tower, [frame], grid, size)) : run(tower, frames, grid, size);
  if (!projector) return { encode, project: async (tokens) => tokens };
  if (order === 'compress-project')
    return {
      encode,
      project: (tokens, T, compressed) => project(compressed ? projectorTuned! : projector, tokens, T),
    };
  return {
    encode: async (frames) =>
      oneByOne(await encode(frames), async (frame) => [
        await projectAndPool(projector, frame, grid, pooled!),
      ]),
    project: async (tokens) => tokens,
  };
}

async function oneByOne<T>(
  items: readonly T[],
  work: (item: T) => Promise<EncodedFrame[]>,
): Promise<EncodedFrame[]> {
  const done: EncodedFrame[] = [];
  for (const item of items) done.push(...(await work(item)));
  return done;
}

/** pixel_values (B, 3, H, W) → hidden (B, N, D), and where the graph gives them keys (B, N, K) and scores (B, P). */
async function run(
  tower: Session,
  frames: readonly PreparedFrame[],
  grid: Grid,
  { width, height }: Pick<Preprocessor, 'width' | 'height'>,
): Promise<EncodedFrame[]> {
  const B = frames.length;
  const pixels = new Float32Array(B * 3 * height * width);
  frames.forEach(({ pixelValues }, b) => {
    pixels.set(pixelValues, b * pixelValues.length);
  });
  const out = await tower.run({ pixel_values: new Tensor('float32', pixels, [B, 3, height, width]) });
  const [, N = 0, D = 0] = out.hidden!.dims;
  const K = out.keys?.dims[2] ?? 0;
  const P = out.scores?.dims[1] ?? N;
  if (out.scores && P !== grid.rows * grid.columns) {
    throw new InputError(
      `${tower.file} scores ${P} patches, the manifest's \`grid\` has ${grid.rows} × ${grid.columns}`,
      { fault: 'model' },
    );
  }
  return frames.map(({ index, ptsSeconds }, b) => ({
    index,
    ptsSeconds,
    N,
    D,
    K,
    hidden: row(out.hidden!, b, N * D),
    keys: out.keys ? row(out.keys, b, N * K) : new Float32Array(0),
    scores: out.scores ? row(out.scores, b, P) : new Float32Array(P),
  }));
}

/**
 * What a tower takes of a group of frames: pixel_values (patches, 3 · 2 · p · p) and their grid (1, 3); or of a picture (1, patches,
 * p · p · 3), a mask that leaves no padding, and its shape (1, 2).
 */
export function feedNative(
  pixels: Float32Array,
  { rows, columns }: Grid,
  { mergeSize, gridInput }: NativeTower,
): Record<string, Tensor> {
  const shape = [rows * mergeSize, columns * mergeSize];
  const patches = rows * columns * mergeSize ** 2;
  const numbers = pixels.length / patches;
  const int64 = (values: number[]) =>
    new Tensor('int64', BigInt64Array.from(values.map(BigInt)), [1, values.length]);
  if (gridInput !== 'spatial_shapes')
    return {
      pixel_values: new Tensor('float32', pixels, [patches, numbers]),
      [gridInput]: int64([1, ...shape]),
    };
  return {
    pixel_values: new Tensor('float32', pixels, [1, patches, numbers]),
    pixel_attention_mask: int64(new Array<number>(patches).fill(1)),
    spatial_shapes: int64(shape),
  };
}

/** A group of frames → hidden (1, N, D), keys (1, N, K) and scores (1, N). */
async function runNative(
  tower: Session,
  { index, ptsSeconds, pixelValues, grid }: PreparedFrame,
  native: NativeTower,
): Promise<EncodedFrame> {
  const { rows, columns } = grid!;
  const out = await tower.run(feedNative(pixelValues, grid!, native));
  const [, N = 0, D = 0] = out.hidden!.dims;
  if (N !== rows * columns)
    throw new InputError(`${tower.file} gives ${N} tokens for a grid of ${rows} × ${columns}`, {
      fault: 'model',
    });
  const floats = (name: string) => out[name]?.data as Float32Array | undefined;
  return {
    ...{ index, ptsSeconds, N, D, grid },
    K: out.keys?.dims[2] ?? 0,
    hidden: floats('hidden')!,
    keys: floats('keys') ?? new Float32Array(0),
    scores: floats('scores') ?? new Float32Array(N),
  };
}

function row(tensor: Tensor, b: number, size: number): Float32Array {
  return (tensor.data as Float32Array).subarray(b * size, (b + 1) * size);
}

/** hidden (T, D) → visual_tokens (T, H). */
async function project(projector: Session, tokens: Float32Array, T: number): Promise<Float32Array> {
  const out = await projector.run({ hidden: new Tensor('float32', tokens, [T, tokens.length / T]) });
  return out.visual_tokens!.data as Float32Array;
}

/** hidden (N, D) → (P, H), and keys and scores with them. */
async function projectAndPool(
  projector: Session,
  frame: EncodedFrame,
  grid: Grid,
  pooled: Grid,
): Promise<EncodedFrame> {
  const hidden = await project(projector, frame.hidden, frame.N);
  const shrink = (values: Float32Array) => resampleGrid(values, grid, pooled);
  return {
    ...frame,
    N: pooled.rows * pooled.columns,
    D: hidden.length / frame.N,
    hidden: shrink(hidden),
    keys: shrink(frame.keys),
    scores: shrink(frame.scores),
  };
}
