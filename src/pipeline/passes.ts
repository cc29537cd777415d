import { InputError } from '../errors.js';
import type { VideoInfo } from '../media/types.js';
import type { Model } from '../models/types.js';
import { planTokens } from './budget.js';
import { orderOfAll } from './crop-order.js';
import { defaultMaxNewTokens } from './generate.js';
import { buildPrompt, type Prompt } from './prompt.js';
import { sampleFrames, type Timeline } from './sample.js';
import type { CompleteRequest, Compression, Plan } from './types.js';

/** What will be done with a video for some of the questions, known before anything of it is decoded. */
export interface Pass {
  readonly plan: Plan;
  /** Which frames, as indices into the video's own. */
  readonly indices: readonly number[];
  /** The questions, by their position in the request; all prompts share their prefix. */
  readonly prompts: ReadonlyMap<number, Prompt>;
}

type PlanModel = Parameters<typeof buildPrompt>[0] &
  Pick<Model, 'contextLength' | 'tower' | 'defaults' | 'crops'>;

/**
 * Plans each question as if it were alone, so that company never changes an answer, and puts the questions with
 * the same plan into one pass over the video. More than one pass is rare: it takes a question so long that it leaves
 * the video less room.
 *
 * @param timeline times of all frames of the video.
 * @param info says whether it is a picture, and its size.
 * @throws InputError for a range without frames, a question that is too long, a demand that cannot fit.
 */
export function planPasses(
  model: PlanModel,
  request: Pick<CompleteRequest, 'questions' | 'sampling' | 'compression' | 'generation'>,
  timeline: Timeline,
  info: Pick<VideoInfo, 'isStill' | 'width' | 'height'>,
): Pass[] {
  const { questions, sampling } = request;
  const { ptsSeconds } = timeline;
  const wanted = sampleFrames(timeline, sampling, model.defaults.frames);
  const framesOf = (count: number) =>
    count === wanted.length ? wanted : sampleFrames(timeline, { ...rangeOf(sampling), frames: count }, count);
  const last = ptsSeconds[ptsSeconds.length - 1]!;
  const durationSeconds = last + (last - ptsSeconds[0]!) / Math.max(1, ptsSeconds.length - 1);
  const timesOf = (count: number) => framesOf(count).map((index) => ptsSeconds[index]!);
  const picture = info.isStill ? describePicture(model, info) : undefined;
  // Behind a picture of several crops stands no newline.
  const prompter = picture ? { ...model, newline: undefined } : model;

  const passes = new Map<string, { plan: Plan; indices: number[]; prompts: Map<number, Prompt> }>();
  questions.forEach((question, position) => {
    const promptOf = (count: number) => buildPrompt(prompter, timesOf(count), question, durationSeconds);
    const plan = planQuestion(model, request, wanted.length, promptOf, picture);
    const key = `${plan.frames} × ${plan.tokensPerFrame}`;
    const pass = passes.get(key) ?? { plan, indices: framesOf(plan.frames), prompts: new Map() };
    pass.prompts.set(position, promptOf(plan.frames));
    // The plan of a pass speaks of its longest prompt.
    if (plan.promptTokens > pass.plan.promptTokens) pass.plan = plan;
    passes.set(key, pass);
  });
  return [...passes.values()];
}

function planQuestion(
  model: PlanModel,
  { sampling, compression, generation }: Pick<CompleteRequest, 'sampling' | 'compression' | 'generation'>,
  frames: number,
  promptOf: (frames: number) => Prompt,
  picture: ReturnType<typeof describePicture>,
): Plan {
  return planTokens({
    contextLength: model.contextLength,
    maxNewTokens: generation.maxNewTokens ?? defaultMaxNewTokens,
    compression: compressionOf(model, compression),
    N: model.tower.P + (model.tower.cls ? 1 : 0),
    P: model.tower.P + (model.tower.keepsCls ? 1 : 0),
    ...picture,
    defaultBudget: model.defaults.compression,
    frames,
    framesAreExplicit: sampling.frames !== undefined || sampling.fps !== undefined,
    textTokens: (count) => {
      const { prefix, suffix } = promptOf(count);
      return prefix.length - count + suffix.length;
    },
  });
}

/** In how many crops a picture is encoded, the whole counted, and its tokens without compression. */
function describePicture(
  { crops, tower, newline }: PlanModel,
  size: Pick<VideoInfo, 'width' | 'height'>,
): { crops: number; P: number } | undefined {
  if (!crops) return undefined;
  const grid = crops.gridOf(size.width, size.height);
  const P = orderOfAll(grid, tower.grid, size, newline !== undefined).length;
  return { crops: 1 + grid.rows * grid.columns, P };
}

/** A model without scores and keys takes every frame whole. Throws an InputError where it is told otherwise. */
function compressionOf({ tower }: PlanModel, compression: Compression): Compression {
  if (tower.compressible !== false) return compression;
  if (typeof compression === 'object')
    throw new InputError(
      `this model's tokens cannot be compressed: expected \`compression\` auto or none, ` +
        `got ${compression.dominant} + ${compression.contextual}`,
      { fault: 'settings' },
    );
  return 'none';
}

function rangeOf({ startSeconds, endSeconds }: CompleteRequest['sampling']): CompleteRequest['sampling'] {
  return { startSeconds, endSeconds };
}
