import { InputError } from '../errors.js';
import { defaultLimits, type OpenedVideo, openVideo } from '../media/open.js';
import type { VideoInfo } from '../media/types.js';
import type { FrameDefaults, ModelOutline } from '../models/types.js';
import { allow } from './allow.js';
import { howToLook, type LookOptions, lookForEvents } from './look.js';
import { withFrames } from './sample.js';
import type { AnswerRequest, Compression, OverTimeStages, Plan, Sampling } from './types.js';

/** A frame that would be looked at. */
export interface PlannedFrame {
  readonly ptsSeconds: number;
  /** Whether it is there for what happens, and not for the even spread. */
  readonly isEvent: boolean;
}

/** What another setting would cost; `plan` is null where it does not fit, as `reason` says. */
export interface OtherSetting {
  readonly sampling: Sampling;
  readonly compression: Compression;
  readonly plan: Plan | null;
  readonly reason: string;
}

export interface VideoPlan {
  readonly video: VideoInfo;
  readonly plan: Plan;
  readonly tokens: { readonly before: number; readonly after: number };
  readonly frames: readonly PlannedFrame[];
  /** One sentence: why so many frames. */
  readonly framesReason: string;
  /** What will be done about what repeats: tokens are at most as many as planned. */
  readonly overTime: OverTimeStages;
  readonly others: readonly OtherSetting[];
}

type PlanOptions = Pick<LookOptions, 'signal' | 'changes' | 'onProgress'>;

/**
 * What a job would do, without running the model: which frames, how many tokens, and why; and what other settings would
 * cost. Of several questions the first one's plan.
 *
 * @throws as `answerVideo`, before it decodes a frame.
 */
export async function planVideo(
  model: ModelOutline,
  request: AnswerRequest,
  options: PlanOptions = {},
): Promise<VideoPlan> {
  const { sampling = {}, compression = 'auto', generation = {}, questions } = request;
  const limits = { ...defaultLimits, ...request.limits };
  const { signal } = options;
  const video = await openVideo(request.video, limits, { signal, strict: request.strict });
  const timeoutMs = limits.decodeTimeoutMs;
  const how = howToLook(video, sampling, model.defaults, timeoutMs);
  const { events } = how ? await lookForEvents(video, how, { ...options, timeoutMs }) : { events: [] };
  const asked = { questions, generation, overTime: request.overTime };
  const [{ allowance, plan }] = allow(
    ...([model, { ...asked, sampling, compression }, video, video.info, events] as const),
  ) as [ReturnType<typeof allow>[0]];
  const isEvent = new Set(events);
  return {
    video: video.info,
    plan,
    tokens: { before: allowance.tokensBefore, after: allowance.visualTokens },
    frames: allowance.indices.map((index) => ({
      ptsSeconds: video.index.ptsSeconds[index]!,
      isEvent: isEvent.has(index),
    })),
    framesReason: tellHowMany(plan, sampling, model.defaults),
    overTime: allowance.overTime,
    others: othersOf(plan, { sampling, compression }).map((other) =>
      tryOther(model, video, { ...asked, ...other }, events),
    ),
  };
}

function tellHowMany(
  { frames }: Plan,
  { frames: asked, fps }: Sampling,
  { frames: fewest, mostFrames = fewest, framesPerSecond = 1 }: FrameDefaults,
): string {
  if (asked !== undefined) return asked === frames ? 'as asked for' : `of ${asked} asked for, what fits`;
  if (fps !== undefined) return `${fps} a second`;
  if (frames === fewest) return 'as the model shows of a short video';
  if (frames === mostFrames) return 'as many as the model was trained on';
  return frames < fewest ? 'all there are, or fit' : `${framesPerSecond} a second of the video`;
}

/** As many frames with other budgets, and more frames; not what the plan has itself. */
function othersOf(
  { frames, budget }: Plan,
  { sampling, compression }: { readonly sampling: Sampling; readonly compression: Compression },
): { readonly sampling: Sampling; readonly compression: Compression }[] {
  const sampled = (count: number) => withFrames(sampling, count);
  const half = budget && {
    dominant: Math.max(1, Math.round(budget.dominant / 2)),
    contextual: Math.round(budget.contextual / 2),
  };
  return [
    { sampling: sampled(2 * frames), compression: 'auto' },
    { sampling: sampled(4 * frames), compression: 'auto' },
    ...(compression === 'auto' ? [] : [{ sampling: sampled(frames), compression: 'auto' as const }]),
    ...(compression === 'none' ? [] : [{ sampling: sampled(frames), compression: 'none' as const }]),
    ...(half ? [{ sampling: sampled(frames), compression: half }] : []),
  ];
}

function tryOther(
  model: ModelOutline,
  video: OpenedVideo,
  request: Parameters<typeof allow>[1],
  events: readonly number[],
): OtherSetting {
  const { sampling, compression } = request;
  try {
    const [one] = allow(model, request, video, video.info, events);
    return { sampling, compression, plan: one!.plan, reason: one!.plan.reason };
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    return { sampling, compression, plan: null, reason: error.message };
  }
}
