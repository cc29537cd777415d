import { decodeFrames } from '../media/decode.js';
import { defaultLimits, type OpenedVideo, openVideo } from '../media/open.js';
import type { Frame, VideoWarning } from '../media/types.js';
import type { KvCache, Model } from '../models/types.js';
import { compressFrame, keepAll } from './compress.js';
import { encodeFrames } from './encode.js';
import { generateAnswer, prefillVideo } from './generate.js';
import { type Pass, planPasses } from './passes.js';
import { encodePicture } from './picture.js';
import { StageClock } from './timings.js';
import type {
  Answer,
  AnswerOptions,
  AnswerOutcome,
  AnswerRequest,
  CompleteRequest,
  CompressedFrame,
  Plan,
  Progress,
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
  /** Inside ONNX Runtime before the job, in milliseconds. */
  readonly onnxBefore: number;
}

/** A video in the language model: what all questions of a pass begin with. */
interface Prefilled {
  readonly visual: readonly VisualTokens[];
  readonly cache: KvCache;
  readonly substituted: ReadonlyMap<number, number>;
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
  return new VideoSession(model, asked).ask(asked.questions, options);
}

/** A video that is asked again and again: opened once, and encoded and prefilled once for all questions with one plan. */
export class VideoSession {
  readonly #model: Model;
  readonly #request: Omit<CompleteRequest, 'questions'>;
  #video: OpenedVideo | undefined;
  /** Of the latest plan only: a cache of keys and values is large. */
  #prefilled: { readonly plan: string; readonly video: Prefilled } | undefined;

  constructor(model: Model, request: Omit<AnswerRequest, 'questions'>) {
    this.#model = model;
    this.#request = withDefaults(request);
  }

  /** Answers as `answerVideo` does. Without questions the video is made ready for short ones, and nothing is answered. */
  async ask(questions: readonly string[], options: AnswerOptions = {}): Promise<AnswerOutcome> {
    const run: Run = {
      model: this.#model,
      request: { ...this.#request, questions },
      listeners: options,
      signal: options.signal,
      clock: new StageClock(),
      answers: [],
      substituted: new Map(),
      onnxBefore: this.#model.onnxMs(),
    };
    const video = await this.#open(run);
    const asked = questions.length > 0 ? questions : [''];
    const passes = planPasses(this.#model, { ...this.#request, questions: asked }, video, video.info);
    let first: Prefilled | undefined;
    for (const pass of passes) {
      const prefilled = await this.#prefill(run, video, pass);
      for (const [wanted, away] of prefilled.substituted) run.substituted.set(wanted, away);
      first ??= prefilled;
      const outcomeSoFar = () => describeOutcome(run, video, passes[0]!.plan, first!);
      await answerQuestions(run, pass, prefilled, outcomeSoFar);
    }
    return describeOutcome(run, video, passes[0]!.plan, first!);
  }

  async #open(run: Run): Promise<OpenedVideo> {
    const { clock, signal } = run;
    const { video, limits, strict } = this.#request;
    report(run, { stage: 'probe' });
    this.#video ??= await clock.measure('probeMs', () => openVideo(video, limits, { signal, strict }));
    return this.#video;
  }

  /** Encodes and prefills the video as a pass has it, unless that was the latest one. */
  async #prefill(run: Run, video: OpenedVideo, pass: Pass): Promise<Prefilled> {
    const [prompt] = pass.prompts.values();
    const plan = JSON.stringify([pass.indices, pass.plan.budget, pass.plan.crops, prompt!.prefix]);
    if (this.#prefilled?.plan === plan) return this.#prefilled.video;
    this.#prefilled = undefined;
    const prefilled = await prefillPass(run, video, pass);
    this.#prefilled = { plan, video: prefilled };
    return prefilled;
  }
}

async function prefillPass(run: Run, video: OpenedVideo, pass: Pass): Promise<Prefilled> {
  const { model, clock } = run;
  const substituted = new Map<number, number>();
  const visual = await clock.measure('framesMs', () => encodeVideo({ ...run, substituted }, video, pass));
  clock.addFrames(visual.length);
  reportGenerating(run, visual.length);
  const [prompt] = pass.prompts.values();
  const cache = await clock.measure('prefillMs', () => prefillVideo(model, prompt!.prefix, visual));
  return { visual, cache, substituted };
}

function describeOutcome(run: Run, video: OpenedVideo, plan: Plan, { visual }: Prefilled): AnswerOutcome {
  return {
    video: { ...video.info, warnings: [...video.info.warnings, ...damageOf(run)] },
    plan,
    tokens: {
      before: plan.frames * plan.tokensPerFrameBefore,
      after: visual.reduce((sum, { T }) => sum + T, 0),
    },
    frames: visual.map(({ index, ptsSeconds }) => ({ index, ptsSeconds })),
    answers: run.answers,
    timings: run.clock.record({
      decodeSteps: run.answers.reduce((sum, { newTokens }) => sum + newTokens - 1, 0),
      onnxMs: run.model.onnxMs() - run.onnxBefore,
    }),
  };
}

function withDefaults(request: Omit<AnswerRequest, 'questions'>): Omit<CompleteRequest, 'questions'> {
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

/** Each question starts from the same cache. */
async function answerQuestions(
  run: Run,
  { prompts }: Pass,
  { visual, cache }: Prefilled,
  outcomeSoFar: () => AnswerOutcome,
): Promise<void> {
  const { model, request, listeners, clock, signal, answers } = run;
  for (const [position, { suffix }] of prompts) {
    const question = request.questions[position];
    if (question === undefined) return; // The video was to be made ready only.
    signal?.throwIfAborted();
    const answer = await generateAnswer(model, question, suffix, cache, {
      generation: request.generation,
      signal,
      onText: (text) => listeners.onText?.(position, text),
      onFirstToken: () => clock.firstToken(),
    });
    clock.add('prefillMs', answer.prefillMs);
    clock.add('generateMs', answer.generateMs);
    answers[position] = answer;
    listeners.onAnswer?.({ ...outcomeSoFar(), answers: [answer] });
    reportGenerating(run, visual.length);
  }
}

function reportGenerating(run: Run, frames: number): void {
  report(run, { stage: 'generate', framesDone: frames, framesTotal: frames });
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
