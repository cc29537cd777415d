import { InputError } from '../errors.js';
import type { VideoInfo } from '../media/types.js';
import type { Grid } from '../models/pool.js';
import { splitBudget } from '../models/split-budget.js';
import type { ModelOutline, ShownVideo } from '../models/types.js';
import { type FrameCost, planTokens } from './budget.js';
import { chooseFrames } from './choose.js';
import { orderOfAll } from './crop-order.js';
import { defaultMaxNewTokens } from './generate.js';
import { stagesOf } from './over-time/stages.js';
import { renderQuestion } from './questions.js';
import { type Timeline, usualFrames, withFrames } from './sample.js';
import type { Allowance, CompleteRequest, Compression, Plan } from './types.js';

/** What may be spent on a video for some of the questions. */
export interface Allowed {
  readonly allowance: Allowance;
  /** The same, as it is reported. */
  readonly plan: Plan;
  /** Their positions in the request. */
  readonly questions: readonly number[];
}

type AllowModel = Pick<ModelOutline, 'vision' | 'language' | 'defaults'> & {
  readonly chat: Pick<ModelOutline['chat'], 'layOut'>;
};
type AllowRequest = Pick<CompleteRequest, 'questions' | 'sampling' | 'compression' | 'generation'> &
  Partial<Pick<CompleteRequest, 'overTime'>>;

/**
 * Plans each question as if it were alone, so that company never changes an answer, and puts the questions with
 * the same plan together: for them the video is encoded once. More than one is rare: it takes a question so long that it
 * leaves the video less room.
 *
 * @param timeline times of all frames of the video.
 * @param info says whether it is a picture, and its size.
 * @param events frames where something happens, the most of it first: see `findEvents`; default none are known.
 * @throws InputError for a range without frames, a question that is too long, a demand that cannot fit.
 */
export function allow(
  model: AllowModel,
  request: AllowRequest,
  timeline: Timeline,
  info: Pick<VideoInfo, 'isStill' | 'width' | 'height'>,
  events: readonly number[] = [],
): Allowed[] {
  const { questions, sampling } = request;
  const { ptsSeconds } = timeline;
  const usual = usualFrames(timeline, sampling, model.defaults);
  const wanted = chooseFrames(timeline, sampling, usual, events);
  const framesOf = (count: number) =>
    count === wanted.length ? wanted : chooseFrames(timeline, withFrames(sampling, count), count, events);
  const durationSeconds = durationOf(ptsSeconds);
  const picture = info.isStill ? describePicture(model, info) : undefined;
  const inCrops = picture !== undefined;
  const cropGrid = picture?.apart;
  const { isStill } = info;
  const { framesTogether = 1 } = model.vision.native ?? {};
  const gridOf = (frames: number) => model.vision.native?.gridOf({ ...info, frames }) ?? model.vision.grid;
  const show = (count: number): ShownVideo => {
    const times = meanTimes(
      framesOf(count).map((index) => ptsSeconds[index]!),
      framesTogether,
    );
    const blocks = cropGrid ? new Array<number>(picture.crops).fill(times[0]!) : times;
    return { ptsSeconds: blocks, ...{ durationSeconds, isStill, inCrops, cropGrid } };
  };

  const isEvent = new Set(events);
  const together = new Map<string, { allowance: Allowance; plan: Plan; questions: number[] }>();
  questions.forEach((question, position) => {
    const text = renderQuestion(question);
    const textTokens = remembering((count: number) => {
      const shown = show(count);
      const { prefix, suffix } = model.chat.layOut(shown, text);
      return prefix.length - shown.ptsSeconds.length + suffix.length;
    });
    const shown = { gridOf, framesTogether, picture, textTokens };
    const fitted = planQuestion(model, request, wanted.length, shown);
    const plan = { ...fitted, events: framesOf(fitted.frames).filter((index) => isEvent.has(index)).length };
    const key = `${plan.frames} × ${plan.tokensPerFrame}`;
    const before = together.get(key);
    before?.questions.push(position);
    // The plan of several questions speaks of the longest prompt.
    if (before && plan.promptTokens > before.plan.promptTokens) before.plan = plan;
    if (before) return;
    const groups = Math.ceil(plan.frames / framesTogether);
    const allowance = {
      ...{ indices: framesOf(plan.frames), budget: plan.budget, durationSeconds, isStill, inCrops },
      ...(cropGrid && { cropGrid }),
      grid: gridOf(plan.frames),
      tokensBefore: groups * plan.tokensPerFrameBefore,
      visualTokens: groups * plan.tokensPerFrame,
      overTime: stagesOf(request.overTime, plan.budget ? plan.tokensPerFrame / plan.tokensPerFrameBefore : 1),
    };
    together.set(key, { allowance, plan, questions: [position] });
  });
  return [...together.values()];
}

/** To lay a prompt out takes longer than all the rest of planning. */
function remembering(count: (frames: number) => number): (frames: number) => number {
  const known = new Map<number, number>();
  return (frames) => {
    const found = known.get(frames) ?? count(frames);
    known.set(frames, found);
    return found;
  };
}

/** Of groups of so many frames. */
export function meanTimes(ptsSeconds: readonly number[], together: number): number[] {
  if (together === 1) return [...ptsSeconds];
  return Array.from({ length: Math.ceil(ptsSeconds.length / together) }, (_, group) => {
    const first = group * together;
    const last = Math.min(first + together, ptsSeconds.length) - 1;
    return (ptsSeconds[first]! + ptsSeconds[last]!) / 2;
  });
}

/** Until the frame behind the last one would be shown. */
function durationOf(ptsSeconds: ArrayLike<number>): number {
  const last = ptsSeconds[ptsSeconds.length - 1]!;
  return last + (last - ptsSeconds[0]!) / Math.max(1, ptsSeconds.length - 1);
}

/** What the video becomes, whatever is asked. */
interface Shown {
  gridOf(frames: number): Grid;
  readonly framesTogether: number;
  readonly picture: ReturnType<typeof describePicture>;
  /** Of the prompt with so many frames. */
  textTokens(frames: number): number;
}

function planQuestion(
  { vision, language, defaults }: AllowModel,
  { sampling, compression, generation }: AllowRequest,
  frames: number,
  { gridOf, framesTogether, picture, textTokens }: Shown,
): Omit<Plan, 'events'> {
  const costOf = (count: number): FrameCost => {
    const { rows, columns } = gridOf(count);
    const P = rows * columns;
    return {
      N: P + (vision.cls ? 1 : 0),
      P: picture?.P ?? P + (vision.keepsCls ? 1 : 0),
      defaultBudget: defaults.share ? splitBudget(Math.ceil(P * defaults.share)) : defaults.compression,
    };
  };
  return planTokens({
    contextLength: language.contextLength,
    maxNewTokens: generation.maxNewTokens ?? defaultMaxNewTokens,
    compression: compressionOf(vision, compression),
    ...{ costOf, framesTogether, frames },
    ...(picture && { crops: picture.crops }),
    framesAreExplicit: sampling.frames !== undefined || sampling.fps !== undefined,
    textTokens,
  });
}

/** In how many crops a picture is encoded, the whole counted, and its tokens without compression. */
function describePicture(
  { vision: { crops, grid } }: AllowModel,
  size: Pick<VideoInfo, 'width' | 'height'>,
): { crops: number; P: number; apart?: Grid } | undefined {
  const cropGrid = crops?.gridOf(size.width, size.height);
  if (!crops || !cropGrid || cropGrid.rows === 0) return undefined;
  const count = 1 + cropGrid.rows * cropGrid.columns;
  if (crops.apart) return { crops: count, P: count * grid.rows * grid.columns, apart: cropGrid };
  return { crops: count, P: orderOfAll(cropGrid, grid, size, crops.newlines).length };
}

/** A model without scores and keys takes every frame whole. Throws an InputError where it is told otherwise. */
function compressionOf({ compressible }: AllowModel['vision'], compression: Compression): Compression {
  if (compressible) return compression;
  if (typeof compression === 'object')
    throw new InputError(
      `this model's tokens cannot be compressed: expected \`compression\` auto or none, ` +
        `got ${compression.dominant} + ${compression.contextual}`,
      { fault: 'settings' },
    );
  return 'none';
}
