/**
 * Writes training data for the shipped model: the sampled frames of many clips at the size of the model's input, and
 * what is true of them. training/data.py reads it. Used only by training/.
 */
import { closeSync, mkdirSync, openSync, renameSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { parseCount, parseSeconds } from './arguments.js';
import {
  askAll,
  centreAt,
  createRandom,
  createRenderer,
  isSeen,
  observe,
  type Random,
  type Scene,
  sampleScene,
} from './clips/index.js';

const INPUT_SIZE = 96;
const PATCH_SIZE = 8;
const GRID = INPUT_SIZE / PATCH_SIZE;
const CLIPS_PER_SHARD = 250;
/** A patch belongs to an object that covers at least this share of it. */
const PATCH_SHARE = 0.2;
/** Frames are drawn at this size, whatever the clip's, and halved. */
const RENDERED_SIZE = 2 * INPUT_SIZE;
/** How many frames the views of a clip show, each of them twice. */
const VIEW_FRAMES = [2, 4, 8, 12, 16, 32, 48, 64];
const FLASH_PROBABILITY = 0.4;
/** So few frames of a clip lie evenly. Of more, how many lie where something happens, at most, and how far from it. */
const MOST_EVEN = 12;
const EVENT_SHARE = 0.5;
const NEAR_EVENT_SECONDS = 0.5;

const HELP = `Usage: training-data --out DIR [options]

Writes shards of ${CLIPS_PER_SHARD} clips: shard-0000.pixels, .patches and .jsonl, and so on.

Options:
  --out DIR         folder to write to, made if it is missing
  --namespace NAME  first part of the clips' seeds: train or validate (default train)
  --shards N        how many shards (default 1)
  --first N         number of the first one (default 0)
  --frames N        frames of a clip (default 12)
  --seconds A-B     shortest and longest clip (default 2-20)
  --texts-only      writes the questions again, after their wording has changed; the pixels stay as they are
  --help            this text
`;

/** As the worker chooses them: evenly in time, and in half of the clips some of them where something happens. */
function pickFrames(scene: Scene, count: number, random: Random): number[] {
  if (count <= MOST_EVEN || random.next() < 0.5) return pickEvenly(scene, count, random);
  const { objects, flash, fps, frameCount } = scene;
  const moments = [...objects, ...(flash ? [flash, flash] : [])].flatMap(({ first, end }) => [first, end]);
  const near = Math.ceil(NEAR_EVENT_SECONDS * fps);
  const events = random
    .shuffle(moments.flatMap((moment) => Array.from({ length: 2 * near }, (_, i) => moment - near + i)))
    .filter((frame) => frame > 0 && frame < frameCount)
    .slice(0, random.index(Math.floor(count * EVENT_SHARE) + 1));
  const chosen = new Set([...events, ...pickEvenly(scene, count - events.length, random)]);
  while (chosen.size < count) chosen.add(random.index(frameCount));
  return [...chosen].sort((a, b) => a - b);
}

/** One frame from each of `count` equal parts of the clip, and mostly one of them from the flash. */
function pickEvenly(scene: Scene, count: number, random: Random): number[] {
  const part = scene.frameCount / count;
  const frames = Array.from({ length: count }, (_, i) =>
    Math.min(scene.frameCount - 1, Math.floor(i * part + random.next() * part)),
  );
  frames[0] = 0;
  frames[count - 1] = scene.frameCount - 1;
  const { flash } = scene;
  if (flash && random.next() < 0.8) {
    const shown = flash.first + random.index(flash.end - flash.first);
    frames[Math.min(count - 1, Math.floor(shown / part))] = shown;
  }
  return frames;
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

/** Some of the frames, forwards or backwards, and what can be asked about them. */
function sampleView(scene: Scene, frames: readonly number[], count: number, random: Random): unknown {
  const order = random
    .shuffle(frames.map((_, i) => i))
    .slice(0, count)
    .sort((a, b) => a - b);
  if (random.next() < 0.5) order.reverse();
  const shown = order.map((i) => frames[i] as number);
  const times = shown.map((frame) => Number((Math.abs(frame - shown[0]!) / scene.fps).toFixed(3)));
  return { frames: order, ptsSeconds: times, questions: askAll(observe(scene, shown, times), random) };
}

function describe(scene: Scene, frames: readonly number[], random: Random): unknown {
  const things = scene.objects.map((object) => ({
    shape: object.shape as string,
    colour: object.colour,
    centres: frames.map((frame) =>
      isSeen(object, frame) ? pointOf(centreAt(object, frame, scene.frameCount)) : null,
    ),
  }));
  const { flash } = scene;
  if (flash)
    things.push({
      shape: 'flash',
      colour: flash.colour,
      centres: frames.map((frame) => (isSeen(flash, frame) ? pointOf(flash.centre) : null)),
    });
  return {
    seed: scene.seed,
    objects: things,
    views: VIEW_FRAMES.filter((count) => count <= frames.length)
      .flatMap((count) => [count, count])
      .map((count) => sampleView(scene, frames, count, random)),
  };
}

function pointOf({ x, y }: { x: number; y: number }): [number, number] {
  return [Number(x.toFixed(4)), Number(y.toFixed(4))];
}

interface ClipSettings {
  readonly frameCount: number;
  readonly seconds: readonly [number, number];
}

/** The clip of a seed at the size of training, and the frames of it that are shown. */
function sampleClip(
  seed: string,
  { frameCount, seconds }: ClipSettings,
): { scene: Scene; frames: number[]; random: Random } {
  const scene = {
    ...sampleScene(seed, { seconds, flashProbability: FLASH_PROBABILITY }),
    size: RENDERED_SIZE,
  };
  const random = createRandom(`${seed}/views`);
  return { scene, frames: pickFrames(scene, frameCount, random), random };
}

function seedsOf(namespace: string, shard: number): string[] {
  return Array.from({ length: CLIPS_PER_SHARD }, (_, i) => `${namespace}/${shard}/${i}`);
}

function writePixels(name: string, seeds: readonly string[], settings: ClipSettings): void {
  const pixelFile = openSync(`${name}.pixels`, 'w');
  const patchFile = openSync(`${name}.patches`, 'w');
  for (const seed of seeds) {
    const { scene, frames } = sampleClip(seed, settings);
    const renderer = createRenderer(scene);
    for (const frame of frames) {
      writeSync(pixelFile, shrink(renderer.frame(frame), scene.size));
      writeSync(patchFile, labelPatches(renderer.objectMap(frame), scene.size));
    }
  }
  closeSync(pixelFile);
  closeSync(patchFile);
}

function writeTexts(name: string, seeds: readonly string[], settings: ClipSettings): void {
  const rows = seeds.map((seed) => {
    const { scene, frames, random } = sampleClip(seed, settings);
    return JSON.stringify(describe(scene, frames, random));
  });
  // The description comes last and whole: a reader that sees it can use the shard.
  writeFileSync(`${name}.part`, `${rows.join('\n')}\n`);
  renameSync(`${name}.part`, `${name}.jsonl`);
}

/** `npm run clips` draws from the seeds clips/…: no user's seed is ever trained on. */
function parseNamespace(text: string): string {
  if (!/^(train|validate)$/.test(text))
    throw new RangeError(`\`--namespace\` must be train or validate, got "${text}"`);
  return text;
}

function main(): void {
  const { values } = parseArgs({
    options: {
      out: { type: 'string' },
      namespace: { type: 'string', default: 'train' },
      shards: { type: 'string', default: '1' },
      first: { type: 'string', default: '0' },
      frames: { type: 'string', default: '12' },
      seconds: { type: 'string', default: '2-20' },
      'texts-only': { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  if (!values.out) throw new TypeError('`--out` must name the folder to write to');
  const namespace = parseNamespace(values.namespace);
  const first = parseCount('first', values.first, 0);
  const end = first + parseCount('shards', values.shards, 1);
  const settings = {
    frameCount: parseCount('frames', values.frames, 2),
    seconds: parseSeconds(values.seconds),
  };
  mkdirSync(values.out, { recursive: true });
  for (let shard = first; shard < end; shard++) {
    const name = join(values.out, `shard-${String(shard).padStart(4, '0')}`);
    const seeds = seedsOf(namespace, shard);
    if (!values['texts-only']) writePixels(name, seeds, settings);
    writeTexts(name, seeds, settings);
  }
}

try {
  main();
} catch (error) {
  process.stderr.write(`training-data: ${(error as Error).message}\n`);
  const isUsage = error instanceof TypeError || error instanceof RangeError;
  process.exitCode = isUsage ? 2 : 1;
}
