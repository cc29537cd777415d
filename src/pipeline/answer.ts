import { defaultLimits, type OpenedVideo, openVideo } from '../media/open.js';
import type { VideoWarning } from '../media/types.js';
import type { Model } from '../models/types.js';
import { type Allowed, allow } from './allow.js';
import { askVideo, openPrompt, type PrefilledVideo } from './ask-video.js';
import { encodeVideo } from './encode-video.js';
import { howToLook, lookForEvents } from './look.js';
import { StageClock } from './timings.js';
import type {
  Answer,
  AnswerOptions,
  AnswerOutcome,
  AnswerRequest,
  CompleteRequest,
  Progress,
} from './types.js';

/**
 * The whole way once: open, allow, encode, ask. The video is decoded, encoded, compressed and prefilled once, however many
 * questions there are (but see `allow`); the outcome's plan, tokens and frames are those of the first question.
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
  #events: readonly number[] | undefined;
  /** Of the latest allowance only: a cache of keys and values is large. */
  #latest: { readonly key: string; readonly encoded: Encoded } | undefined;

  constructor(model: Model, request: Omit<AnswerRequest, 'questions'>) {
    this.#model = model;
    this.#request = withDefaults(request);
  }

  /** Answers as `answerVideo` does. Without questions the video is made ready for short ones, and nothing is answered. */
  async ask(questions: readonly string[], options: AnswerOptions = {}): Promise<AnswerOutcome> {
    const run = new Run(this.#model, questions, options);
    const video = await this.#open(run);
    const asked = questions.length > 0 ? questions : [''];
    const events = await this.#findEvents(run, video);
    const allowed = allow(this.#model, { ...this.#request, questions: asked }, video, video.info, events);
    let first: Encoded | undefined;
    for (const one of allowed) {
      const encoded = await this.#encode(run, video, one);
      first ??= encoded;
      run.damage.push(encoded);
      const outcomeSoFar = () => this.#describe(run, video, allowed[0]!, first!);
      if (questions.length > 0) await this.#answer(run, encoded, one, outcomeSoFar);
    }
    return this.#describe(run, video, allowed[0]!, first!);
  }

  async #open({ clock, signal, report }: Run): Promise<OpenedVideo> {
    const { video, limits, strict } = this.#request;
    report({ stage: 'probe' });
    this.#video ??= await clock.measure('probeMs', () => openVideo(video, limits, { signal, strict }));
    return this.#video;
  }

  async #findEvents(
    { clock, signal, report, listeners }: Run,
    video: OpenedVideo,
  ): Promise<readonly number[]> {
    const { sampling, limits } = this.#request;
    const how = howToLook(video, sampling, this.#model.defaults, limits.decodeTimeoutMs);
    if (how === null) return [];
    this.#events ??= await clock.measure('chooseMs', () =>
      lookForEvents(video, how, {
        ...{ signal, timeoutMs: limits.decodeTimeoutMs, changes: listeners.changes },
        onProgress: (framesDone, framesTotal) => report({ stage: 'choose', framesDone, framesTotal }),
      }),
    );
    return this.#events;
  }

  /** Encodes and prefills the video as it is allowed to, unless that was the latest one. */
  async #encode(run: Run, video: OpenedVideo, { allowance }: Allowed): Promise<Encoded> {
    const key = JSON.stringify(allowance);
    if (this.#latest?.key === key) return this.#latest.encoded;
    this.#latest = undefined;
    const { clock, signal, report, listeners } = run;
    const { limits, strict } = this.#request;
    const framesTotal = allowance.indices.length;
    const substituted = new Map<number, number>();
    let framesDone = 0;
    report({ stage: 'encode', framesTotal });
    const tokens = await clock.measure('framesMs', () =>
      encodeVideo(this.#model, video, allowance, {
        ...{ clock, signal, strict, timeoutMs: limits.decodeTimeoutMs },
        onDamage: (wanted, taken) => void substituted.set(wanted, Math.abs(taken - wanted)),
        onFrame: async (frame, block) => {
          await listeners.onFrame?.(frame, block);
          report({ stage: 'encode', framesDone: ++framesDone, framesTotal });
        },
        onDuplicate: () => report({ stage: 'encode', framesDone: ++framesDone, framesTotal }),
      }),
    );
    clock.addFrames(tokens.frames.length);
    run.reportGenerating(framesTotal);
    const prefilled = await clock.measure('prefillMs', () => openPrompt(this.#model, tokens));
    const encoded = { ...prefilled, substituted };
    this.#latest = { key, encoded };
    return encoded;
  }

  async #answer(run: Run, encoded: Encoded, { questions }: Allowed, outcomeSoFar: () => AnswerOutcome) {
    const { listeners, signal, clock, answers } = run;
    const { generation } = this.#request;
    const asked = questions.map((position) => run.questions[position]!);
    for await (const event of askVideo(this.#model, encoded, asked, { generation, signal })) {
      const position = questions[event.question]!;
      if (event.type === 'firstToken') clock.firstToken();
      else if (event.type === 'text') listeners.onText?.(position, event.text);
      else {
        const { answer } = event;
        clock.add('prefillMs', answer.prefillMs);
        clock.add('generateMs', answer.generateMs);
        answers[position] = answer;
        listeners.onAnswer?.({ ...outcomeSoFar(), answers: [answer] });
        run.reportGenerating(encoded.tokens.frames.length);
      }
    }
  }

  #describe(run: Run, { info }: OpenedVideo, { plan }: Allowed, { tokens }: Encoded): AnswerOutcome {
    const { answers } = run;
    return {
      video: { ...info, warnings: [...info.warnings, ...tellDamage(run.damage)] },
      plan,
      tokens: {
        before: tokens.tokensBefore,
        after: tokens.blocks.reduce((sum, { T }) => sum + T, 0),
      },
      frames: tokens.frames,
      answers,
      timings: run.clock.record({
        decodeSteps: answers.reduce((sum, { newTokens }) => sum + newTokens - 1, 0),
        onnxMs: run.onnxMs(),
      }),
    };
  }
}

/** An encoded and prefilled video. */
interface Encoded extends PrefilledVideo {
  /** Of each frame for which another stands in: how far that one is away, in seconds. */
  readonly substituted: ReadonlyMap<number, number>;
}

/** One call of `ask`: who listens, and what has come of it so far. */
class Run {
  readonly clock = new StageClock();
  /** In the order of the questions. */
  readonly answers: Answer[] = [];
  /** What was encoded for it. */
  readonly damage: Pick<Encoded, 'substituted'>[] = [];
  readonly signal: AbortSignal | undefined;
  readonly onnxMs: () => number;

  constructor(
    model: Model,
    readonly questions: readonly string[],
    readonly listeners: AnswerOptions,
  ) {
    const before = model.onnxMs();
    this.signal = listeners.signal;
    this.onnxMs = () => model.onnxMs() - before;
  }

  readonly report = (progress: Partial<Progress> & Pick<Progress, 'stage'>): void => {
    this.listeners.onProgress?.({
      framesDone: 0,
      framesTotal: 0,
      answersDone: Object.keys(this.answers).length,
      answersTotal: this.questions.length,
      ...progress,
    });
  };

  reportGenerating(frames: number): void {
    this.report({ stage: 'generate', framesDone: frames, framesTotal: frames });
  }
}

function withDefaults(request: Omit<AnswerRequest, 'questions'>): Omit<CompleteRequest, 'questions'> {
  const { sampling = {}, compression = 'auto', generation = {}, limits, strict = false } = request;
  const { overTime = {} } = request;
  return {
    ...request,
    sampling,
    compression,
    overTime,
    generation,
    limits: { ...defaultLimits, ...limits },
    strict,
  };
}

function tellDamage(encoded: readonly Pick<Encoded, 'substituted'>[]): VideoWarning[] {
  const substituted = new Map(encoded.flatMap((one) => [...one.substituted]));
  const { size } = substituted;
  if (size === 0) return [];
  const furthest = Math.max(...substituted.values()).toFixed(2);
  const [frames, stand] = size === 1 ? ['1 frame is', 'stands'] : [`${size} frames are`, 'stand'];
  const message = `${frames} damaged: the nearest sound ones ${stand} in, at most ${furthest} seconds away`;
  return [{ kind: 'damaged', message }];
}
