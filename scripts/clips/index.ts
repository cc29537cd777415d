import { observe } from './observe.js';
import { askAll, type ClipQuestion, type QuestionKind } from './questions.js';
import { createRandom } from './random.js';
import { createRenderer } from './render.js';
import { type Scene, sampleScene } from './world.js';

export { observe } from './observe.js';
export { askAll, type ClipQuestion, type QuestionKind } from './questions.js';
export { createRandom, type Random } from './random.js';
export { createRenderer } from './render.js';
export {
  COLOUR_NAMES,
  COLOURS,
  centreAt,
  DIRECTIONS,
  isSeen,
  type Scene,
  type SceneObject,
  SHAPES,
  sampleScene,
} from './world.js';

/** A clip before it is encoded, and what is true of it. */
export interface Clip {
  readonly scene: Scene;
  readonly questions: readonly ClipQuestion[];
  /** How far the answer to a `when` may be off, seconds: what lies between two of eight evenly spaced frames. */
  readonly toleranceSeconds: number;
  /** RGB bytes of each frame in turn, (size, size, 3), drawn as they are asked for. */
  frames(): Generator<Uint8Array>;
}

/** Kinds that are asked only where they are wanted. */
export const EXTRA_KINDS = ['when', 'flash'] as const satisfies readonly QuestionKind[];
export type ExtraKind = (typeof EXTRA_KINDS)[number];

export interface ClipOptions {
  /** Shortest and longest clip, default 2 to 20. */
  readonly seconds?: readonly [number, number];
  /** Kinds asked beside the usual ones. With `flash`, every clip has a flash. */
  readonly with?: readonly ExtraKind[];
  /** Most questions a clip; default 8. One of each kind comes first, the kinds in `with` before the usual ones. */
  readonly most?: number;
}

/**
 * Seed of clip `index` of a user's `seed`. Training draws its clips from the names "train/…" and "validate/…", so no
 * seed that a user can give was ever seen in training.
 */
export function clipSeed(seed: number, index: number): string {
  return `clips/${seed}/${index}`;
}

/** Makes the clip of a seed: its scene, its questions with their answers, its frames. Deterministic, no I/O. */
export function generateClip(seed: string, options: ClipOptions = {}): Clip {
  const asked = options.with ?? [];
  const flashProbability = asked.includes('flash') ? 1 : 0;
  const scene = sampleScene(seed, { seconds: options.seconds, flashProbability });
  return {
    scene,
    questions: sampleQuestions(scene, asked, options.most ?? 8),
    toleranceSeconds: Math.ceil((scene.frameCount / scene.fps / 7) * 10) / 10,
    *frames() {
      const renderer = createRenderer(scene);
      for (let frame = 0; frame < scene.frameCount; frame++) yield renderer.frame(frame);
    },
  };
}

/** One question of each kind that can be asked, the `wanted` extra kinds foremost, then others up to `most`. */
function sampleQuestions(scene: Scene, wanted: readonly QuestionKind[], most: number): ClipQuestion[] {
  const frames = Array.from({ length: scene.frameCount }, (_, i) => i);
  const times = frames.map((frame) => frame / scene.fps);
  const unwanted: readonly QuestionKind[] = EXTRA_KINDS.filter((kind) => !wanted.includes(kind));
  const all = askAll(observe(scene, frames, times), createRandom(`${scene.seed}/questions`)).filter(
    ({ kind }) => !unwanted.includes(kind),
  );
  const firsts = all.filter(({ kind }, i) => all.findIndex((other) => other.kind === kind) === i);
  return [
    ...firsts.filter(({ kind }) => wanted.includes(kind)),
    ...firsts.filter(({ kind }) => !wanted.includes(kind)),
    ...all.filter((question) => !firsts.includes(question)),
  ].slice(0, most);
}
