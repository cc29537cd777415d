import { compressFrame, keepAll } from './compress.js';
import { decodeFrames } from './decode.js';
import { encodeFrames } from './encode.js';
import { generateAnswer, prefillVideo } from './generate.js';
import type { Model } from './model.js';
import { type Pass, planPasses } from './passes.js';
import { encodePicture } from './picture.js';
import { defaultLimits, type OpenedVideo, openVideo } from './source.js';
import { StageClock } from './timings.js';
import type {
  Answer,
  AnswerOptions,
  AnswerOutcome,
  AnswerRequest,
  CompleteRequest,
  CompressedFrame,
  Frame,
  Plan,
  Progress,
  VideoWarning,
  VisualTokens,
} from './types.js';

/** One job under way: what every step below needs. */
interface Run {
  readonly model: Model;
  readonly request: CompleteRequest;
  readonly listeners: AnswerOptions;
  readonly clock: StageClock;
  readonly signal: AbortSignal | undefined;
  /** In the order of the questions. */
  readonly answers: Answer[];
  /** Of each frame for which another stands in: how far that one is away, in seconds. */
  readonly substituted: Map<number, number>;
}

/**
 * The whole way once: source, sample, decode, preprocess, encode, compress, project, prompt, generate. The
 * video is decoded, encoded, compressed and prefilled once, however many questions there are (but see
 * `planPasses`); the outcome's plan, tokens and frames are those of the first question.
 *
 * Throws an InputError for anything that is wrong with the video, the questions or the settings, and the
 * signal's reason when aborted.
 */
export async function answerVideo(
  model: Model,
  asked: AnswerRequest,
  options: AnswerOptions = {},
): Promise<AnswerOutcome> {
  const request = withDefaults(asked);
  const { signal } = options;
  const clock = new StageClock();
  const run: Run = { model, request, listeners: options, clock, signal, answers: [], substituted: new Map() };
  const onnxBefore = model.onnxMs();
  report(run, { stage: 'probe' });
  const { strict } = request;
  const video = await clock.measure('probeMs', () =>
    openVideo(request.video, request.limits, { signal, strict }),
  );
  const passes = planPasses(model, request, video, video.info);
  const visual: VisualTokens[][] = [];
  for (const pass of passes) {
    visual.push(await clock.measure('framesMs', () => encodeVideo(run, video, pass)));
    await answerQuestions(run, pass, visual.at(-1)!);
  }
  const [{ plan }] = passes as [Pass];
  const [first] = visual as [VisualTokens[]];
  return {
    video: { ...video.info, warnings: [...video.info.warnings, ...damageOf(run)] },
    plan,
    tokens: {
      before: plan.frames * plan.tokensPerFrameBefore,
      after: first.reduce((sum, { T }) => sum + T, 0),
    },
    frames: first.map(({ index, ptsSeconds }) => ({ index, ptsSeconds })),
    answers: run.answers,
    timings: clock.record({
      frames: visual.flat().length,
      decodeSteps: run.answers.reduce((sum, { newTokens }) => sum + newTokens - 1, 0),
      onnxMs: model.onnxMs() - onnxBefore,
    }),
  };
}

function withDefaults(request: AnswerRequest): CompleteRequest {
  const { sampling = {}, compression = 'auto', generation = {}, limits, strict = false } = request;
  return { ...request, sampling, compression, generation, limits: { ...defaultLimits, ...limits }, strict };
}

/** One frame's visual tokens after the other. */
async function encodeVideo(run: Run, video: OpenedVideo, { plan, indices }: Pass): Promise<VisualTokens[]> {
  const { request, listeners, signal } = run;
  const frames = decodeFrames(video, indices, {
    timeoutMs: request.limits.decodeTimeoutMs,
    signal,
    strict: request.strict,
    onDamage: (wanted, taken) => void run.substituted.set(wanted, Math.abs(taken - wanted)),
  });
  const encoded = plan.crops > 1 ? encodePictures(run, frames, plan) : encodeWhole(run, frames, plan);
  const visual: VisualTokens[] = [];
  report(run, { stage: 'encode', framesTotal: indices.length });
  for await (const { frame, tokens, compressed } of encoded) {
    visual.push(tokens);
    await listeners.onFrame?.(frame, compressed);
    report(run, { stage: 'encode', framesDone: visual.length, framesTotal: indices.length });
  }
  return visual;
}

function damageOf({ substituted }: Run): VideoWarning[] {
  const { size } = substituted;
  if (size === 0) return [];
  const furthest = Math.max(...substituted.values()).toFixed(2);
  const [frames, stand] = size === 1 ? ['1 frame is', 'stands'] : [`${size} frames are`, 'stand'];
  const message = `${frames} damaged: the nearest sound ones ${stand} in, at most ${furthest} seconds away`;
  return [{ kind: 'damaged', message }];
}

interface FrameTokens {
  readonly frame: Frame;
  readonly tokens: VisualTokens;
  readonly compressed: CompressedFrame;
}

/** Decode, preprocess, encode, compress, project. */
async function* encodeWhole(
  { model, clock, signal }: Run,
  frames: AsyncIterable<Frame>,
  { budget }: Plan,
): AsyncGenerator<FrameTokens> {
  for await (const { frame, encoded } of encodeFrames(model, frames, clock, signal)) {
    const compressed = await clock.measure('compressMs', () =>
      budget ? compressFrame(encoded, budget) : keepAll(encoded, model.tower.keepsCls),
    );
    const embeds = await clock.measure('projectMs', () =>
      model.project(compressed.tokens, compressed.T, budget !== null),
    );
    const { index, ptsSeconds, T } = compressed;
    yield { frame, tokens: { index, ptsSeconds, T, H: model.decoderWidth, embeds }, compressed };
  }
}

/** The same of a still picture in several crops. */
async function* encodePictures(
  { model, clock, signal }: Run,
  frames: AsyncGenerator<Frame>,
  plan: Plan,
): AsyncGenerator<FrameTokens> {
  for (;;) {
    const next = await clock.measure('decodeMs', () => frames.next());
    if (next.done) return;
    const { visual, whole } = await encodePicture(model, next.value, plan, clock, signal);
    yield { frame: next.value, tokens: visual, compressed: whole };
  }
}

/** The video is prefilled once; each question then starts from the same cache. */
async function answerQuestions(run: Run, { prompts }: Pass, visual: VisualTokens[]): Promise<void> {
  const { model, request, listeners, clock, signal, answers } = run;
  const frames = { framesDone: visual.length, framesTotal: visual.length };
  report(run, { stage: 'generate', ...frames });
  const [first] = prompts.values();
  const cache = await clock.measure('prefillMs', () => prefillVideo(model, first!.prefix, visual));
  for (const [position, { suffix }] of prompts) {
    signal?.throwIfAborted();
    const answer = await generateAnswer(model, request.questions[position]!, suffix, cache, {
      generation: request.generation,
      signal,
      onText: (text) => listeners.onText?.(position, text),
      onFirstToken: () => clock.firstToken(),
    });
    clock.add('prefillMs', answer.prefillMs);
    clock.add('generateMs', answer.generateMs);
    answers[position] = answer;
    report(run, { stage: 'generate', ...frames });
  }
}

function report(run: Run, progress: Partial<Progress> & Pick<Progress, 'stage'>): void {
  run.listeners.onProgress?.({
    framesDone: 0,
    framesTotal: 0,
    answersDone: Object.keys(run.answers).length,
    answersTotal: run.request.questions.length,
    ...progress,
  });
}
