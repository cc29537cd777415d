import { type ClipQuestion, sampleQuestions } from './questions.js';
import { createRenderer } from './render.js';
import { type Scene, sampleScene } from './world.js';

export { type ClipQuestion, QUESTION_KINDS, type QuestionKind, sampleQuestions } from './questions.js';
export { createRandom, type Random } from './random.js';
export { createRenderer, type SceneRenderer } from './render.js';
export {
  COLOUR_NAMES,
  COLOURS,
  centreAt,
  DIRECTIONS,
  type Scene,
  type SceneObject,
  SHAPES,
  sampleScene,
} from './world.js';

/** A clip before it is encoded, and what is true of it. */
export interface Clip {
  readonly scene: Scene;
  readonly questions: readonly ClipQuestion[];
  /** RGB bytes of each frame in turn, (size, size, 3), drawn as they are asked for. */
  frames(): Generator<Uint8Array>;
}

/**
 * Seed of clip `index` of a user's `seed`. Training draws its clips from the names "train/…" and "validate/…", so no
 * seed that a user can give was ever seen in training.
 */
export function clipSeed(seed: number, index: number): string {
  return `clips/${seed}/${index}`;
}

/** Makes the clip of a seed: its scene, its questions with their answers, its frames. Deterministic, no I/O. */
export function generateClip(seed: string): Clip {
  const scene = sampleScene(seed);
  return {
    scene,
    questions: sampleQuestions(scene),
    *frames() {
      const renderer = createRenderer(scene);
      for (let frame = 0; frame < scene.frameCount; frame++) yield renderer.frame(frame);
    },
  };
}
