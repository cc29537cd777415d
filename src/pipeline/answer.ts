import { planTokens } from './budget.js';
import { compressFrame, keepAll } from './compress.js';
import { decodeFrames } from './decode.js';
import { encodeFrames } from './encode.js';
import { defaultMaxNewTokens, generateAnswer, prefillVideo } from './generate.js';
import type { Model } from './model.js';
import { buildPrompt, type Prompt } from './prompt.js';
import { sampleFrames } from './sample.js';
import { type OpenedVideo, openVideo } from './source.js';
import { StageClock } from './timings.js';
import type {
  Answer,
  AnswerListeners,
  AnswerOutcome,
  AnswerRequest,
  Plan,
  Progress,
  VisualTokens,
} from './types.js';

/** One job under way: what every step below needs. */
interface Run {
  readonly model: Model;
  readonly request: AnswerRequest;
  readonly listeners: AnswerListeners;
  readonly clock: StageClock;
  readonly signal: AbortSignal | undefined;
}

/** What will be done with a video, known before anything of it is decoded. */
interface Plot {
  readonly plan: Plan;
  /** Which frames, as indices into the video's own. */
  readonly indices: readonly number[];
  readonly prompts: readonly Prompt[];
}

/**
 * The whole way once: source, sample, decode, preprocess, encode, compress, project, prompt, generate. The
 * video is decoded, encoded, compressed and prefilled once, however many questions there are.
 *
 * Throws an InputError for anything that is wrong with the video, the questions or the settings, and the
 * signal's reason when aborted.
 */
export async function answerVideo(
  model: Model,
  request: AnswerRequest,
  listeners: AnswerListeners = {},
  signal?: AbortSignal,
): Promise<AnswerOutcome> {
  const run: Run = { model, request, listeners, clock: new StageClock(), signal };
  const onnxBefore = model.onnxMs();
  report(run, { stage: 'probe' });
  const video = await run.clock.measure('probeMs', () => openVideo(request.video, request.limits, signal));
  const plot = plotVideo(model, request, video);

  const framesStarted = performance.now();
  const visual = await encodeVideo(run, video, plot);
  const framesMs = performance.now() - framesStarted;
  const answers = await answerQuestions(run, plot, visual);

  return {
    video: video.info,
    plan: plot.plan,
    tokens: {
      before: plot.plan.frames * plot.plan.tokensPerFrameBefore,
      after: visual.reduce((sum, { T }) => sum + T, 0),
    },
    frames: visual.map(({ index, ptsSeconds }) => ({ index, ptsSeconds })),
    answers,
    timings: run.clock.record({
      frames: visual.length,
      framesMs,
      decodeSteps: answers.reduce((sum, { newTokens }) => sum + newTokens - 1, 0),
      onnxMs: model.onnxMs() - onnxBefore,
    }),
  };
}

/** Which frames, how many tokens of each, and the prompts. */
function plotVideo(model: Model, request: AnswerRequest, video: OpenedVideo): Plot {
  const { sampling, generation } = request;
  const isExplicit = sampling.frames !== undefined || sampling.fps !== undefined;
  const wanted = sampleFrames(video.ptsSeconds, sampling, model.defaults.frames);
  const reduced = (frames: number) =>
    frames === wanted.length
      ? wanted
      : sampleFrames(video.ptsSeconds, { ...sampling, frames, fps: undefined, maxFrames: undefined }, frames);
  const timesOf = (indices: readonly number[]) => indices.map((index) => video.ptsSeconds[index]!);
  const promptsOf = (indices: readonly number[]) =>
    request.questions.map((question) => buildPrompt(model, timesOf(indices), question));

  const longest = Math.max(...promptsOf(wanted).map(({ suffix }) => suffix.length));
  const plan = planTokens({
    contextLength: model.contextLength,
    maxNewTokens: generation.maxNewTokens ?? defaultMaxNewTokens,
    compression: request.compression,
    N: model.tower.P + (model.tower.cls ? 1 : 0),
    P: model.tower.P,
    defaultBudget: model.defaults.compression,
    frames: wanted.length,
    framesAreExplicit: isExplicit,
    textTokens: (frames) => {
      const { prefix } = buildPrompt(model, timesOf(reduced(frames)), request.questions[0]!);
      return prefix.length - frames + longest;
    },
  });
  const indices = reduced(plan.frames);
  return { plan, indices, prompts: promptsOf(indices) };
}

/** Decode, preprocess, encode, compress, project: one frame's visual tokens after the other. */
async function encodeVideo(run: Run, video: OpenedVideo, { plan, indices }: Plot): Promise<VisualTokens[]> {
  const { model, request, listeners, clock, signal } = run;
  const frames = decodeFrames(video, indices, { timeoutMs: request.limits.decodeTimeoutMs, signal });
  const visual: VisualTokens[] = [];
  report(run, { stage: 'encode', framesTotal: indices.length });
  for await (const { frame, encoded } of encodeFrames(model, frames, clock, signal)) {
    const compressed = await clock.measure('compressMs', () =>
      plan.budget ? compressFrame(encoded, plan.budget) : keepAll(encoded),
    );
    const embeds = await clock.measure('projectMs', () =>
      model.project(compressed.tokens, compressed.T, plan.budget !== null),
    );
    const { index, ptsSeconds, T } = compressed;
    visual.push({ index, ptsSeconds, T, H: model.decoderWidth, embeds });
    await listeners.onFrame?.(frame, compressed);
    report(run, { stage: 'encode', framesDone: visual.length, framesTotal: indices.length });
  }
  return visual;
}

/** The video is prefilled once; each question then starts from the same cache. */
async function answerQuestions(run: Run, { prompts }: Plot, visual: VisualTokens[]): Promise<Answer[]> {
  const { model, request, listeners, clock, signal } = run;
  const frames = { framesDone: visual.length, framesTotal: visual.length };
  report(run, { stage: 'generate', ...frames });
  const prefix = await clock.measure('prefillMs', () => prefillVideo(model, prompts[0]!.prefix, visual));
  const answers: Answer[] = [];
  for (const [i, question] of request.questions.entries()) {
    signal?.throwIfAborted();
    const answer = await generateAnswer(model, question, prompts[i]!.suffix, prefix, {
      generation: request.generation,
      signal,
      onText: (text) => listeners.onText?.(i, text),
      onFirstToken: () => clock.firstToken(),
    });
    clock.add('prefillMs', answer.prefillMs);
    clock.add('generateMs', answer.generateMs);
    answers.push(answer);
    report(run, { stage: 'generate', ...frames, answersDone: answers.length });
  }
  return answers;
}

function report(run: Run, progress: Partial<Progress> & Pick<Progress, 'stage'>): void {
  run.listeners.onProgress?.({
    framesDone: 0,
    framesTotal: 0,
    answersDone: 0,
    answersTotal: run.request.questions.length,
    ...progress,
  });
}
