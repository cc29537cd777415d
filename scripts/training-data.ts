/**
 * Writes training data for the shipped model: the sampled frames of many clips at the size of the model's input, and
 * what is true of them. training/data.py reads it. Used only by training/.
 */
import { closeSync, mkdirSync, openSync, renameSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { centreAt, createRenderer, type Scene, sampleQuestions, sampleScene } from '../src/clips/index.js';

const INPUT_SIZE = 96;
const PATCH_SIZE = 8;
const GRID = INPUT_SIZE / PATCH_SIZE;
const CLIPS_PER_SHARD = 500;
/** A patch belongs to an object that covers at least this share of it. */
const PATCH_SHARE = 0.2;

const { values } = parseArgs({
  options: {
    out: { type: 'string' },
    namespace: { type: 'string', default: 'train' },
    shards: { type: 'string', default: '1' },
    first: { type: 'string', default: '0' },
    frames: { type: 'string', default: '8' },
  },
});

/** np.linspace(0, total − 1, count, dtype=int), the sampling of the pipeline. */
function sampleFrames(total: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => Math.floor((i * (total - 1)) / Math.max(1, count - 1)));
}

/** Mean of each block of pixels: (size, size, 3) to (96, 96, 3). */
function shrink(pixels: Uint8Array, size: number): Uint8Array {
  const factor = size / INPUT_SIZE;
  const result = new Uint8Array(INPUT_SIZE * INPUT_SIZE * 3);
  for (let row = 0; row < INPUT_SIZE; row++)
    for (let column = 0; column < INPUT_SIZE; column++)
      for (let c = 0; c < 3; c++) {
        let sum = 0;
        for (let v = 0; v < factor; v++)
          for (let u = 0; u < factor; u++)
            sum += pixels[((row * factor + v) * size + column * factor + u) * 3 + c] as number;
        result[(row * INPUT_SIZE + column) * 3 + c] = sum / (factor * factor) + 0.5;
      }
  return result;
}

/** (144) in raster order: 0 for background, i + 1 for the object that covers most of the patch. */
function labelPatches(objectMap: Uint8Array, size: number): Uint8Array {
  const side = size / GRID;
  const counts = new Uint32Array(GRID * GRID * 8);
  objectMap.forEach((label, i) => {
    const patch = Math.floor(Math.floor(i / size) / side) * GRID + Math.floor((i % size) / side);
    if (label > 0) counts[patch * 8 + label] = (counts[patch * 8 + label] as number) + 1;
  });
  const labels = new Uint8Array(GRID * GRID);
  for (let patch = 0; patch < labels.length; patch++) {
    const ofPatch = counts.subarray(patch * 8, patch * 8 + 8);
    const most = ofPatch.indexOf(Math.max(...ofPatch));
    if ((ofPatch[most] as number) >= PATCH_SHARE * side * side) labels[patch] = most;
  }
  return labels;
}

function describe(scene: Scene, frames: readonly number[]): unknown {
  return {
    seed: scene.seed,
    ptsSeconds: frames.map((frame) => frame / scene.fps),
    objects: scene.objects.map((object) => ({
      shape: object.shape,
      colour: object.colour,
      direction: object.direction ?? null,
      centres: frames.map((frame) => {
        const { x, y } = centreAt(object, frame, scene.frameCount);
        return [Number(x.toFixed(4)), Number(y.toFixed(4))];
      }),
    })),
    questions: sampleQuestions(scene, Number.POSITIVE_INFINITY),
  };
}

function writeShard(folder: string, namespace: string, shard: number, frameCount: number): void {
  const name = join(folder, `shard-${String(shard).padStart(4, '0')}`);
  const pixelFile = openSync(`${name}.pixels`, 'w');
  const patchFile = openSync(`${name}.patches`, 'w');
  const rows: string[] = [];
  for (let i = 0; i < CLIPS_PER_SHARD; i++) {
    const scene = sampleScene(`${namespace}/${shard}/${i}`);
    const renderer = createRenderer(scene);
    const frames = sampleFrames(scene.frameCount, frameCount);
    for (const frame of frames) {
      writeSync(pixelFile, shrink(renderer.frame(frame), scene.size));
      writeSync(patchFile, labelPatches(renderer.objectMap(frame), scene.size));
    }
    rows.push(JSON.stringify(describe(scene, frames)));
  }
  closeSync(pixelFile);
  closeSync(patchFile);
  // The description comes last and whole: a reader that sees it can use the shard.
  writeFileSync(`${name}.part`, `${rows.join('\n')}\n`);
  renameSync(`${name}.part`, `${name}.jsonl`);
}

if (!values.out) throw new TypeError('`--out` must name a folder');
mkdirSync(values.out, { recursive: true });
const first = Number(values.first);
for (let shard = first; shard < first + Number(values.shards); shard++)
  writeShard(values.out, values.namespace, shard, Number(values.frames));
