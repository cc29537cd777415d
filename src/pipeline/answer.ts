import { createHash, randomUUID } from 'node:crypto';
import { defaultLimits, type OpenedVideo, openVideo } from '../media/open.js';
import type { Model, Turn } from '../models/types.js';
import { type Allowed, allow } from './allow.js';
import { askVideo, openPrompt } from './ask-video.js';
import { Conversation } from './conversation.js';
import { tellDamage } from './damage.js';
import { encodeVideo } from './encode-video.js';
import { howToLook, lookForEvents, type Seen } from './look.js';
import { type CachedVideo, PrefixCache } from './prefix-cache.js';
import { countTokens, Run } from './run.js';
import {
  packFacts,
  packTokens,
  type StoredTokens,
  unpackFacts,
  unpackTokens,
  type VideoFacts,
} from './stored-video.js';
import type {
  Allowance,
  AnswerOptions,
  AnswerOutcome,
  AnswerRequest,
  CompleteRequest,
  Question,
  VideoStore,
  VideoTokens,
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
  const { questions, history, ...request } = asked;
  return new VideoSession(model, request).ask(questions, { ...options, history });
}

/** How a video is shown and asked, whatever the questions. */
export type VideoRequest = Omit<AnswerRequest, 'questions' | 'history'>;
type CompleteVideoRequest = Omit<CompleteRequest, 'questions' | 'history'>;

export interface SessionOptions extends AnswerOptions {
  /** See `AnswerRequest`. */
  readonly history?: readonly Turn[];
}

/** What outlives a question: see `VideoSession`. */
export interface Memory {
  /** Names the video and all of the model that its tokens depend on; without it nothing is shared with another `VideoSession`. */
  readonly videoKey?: string;
  /** See `identityOf`, of the file that `videoKey` names: another one is refused. */
  readonly identity?: string;
  readonly store?: VideoStore;
  /** Prefilled videos of this model, which several `VideoSession`s may share; default one that holds the latest alone. */
  readonly prefixes?: PrefixCache;
}

/**
 * A video that is asked again and again: looked at once, and encoded and prefilled once for all questions with one plan. With a
 * `videoKey` that outlives it, what was prefilled is looked for among `prefixes`, and else the tokens in the `store`; then neither
 * the file is opened nor the tower run.
 */
export class VideoSession {
  readonly #model: Model;
  readonly #request: CompleteVideoRequest;
  readonly #videoKey: string;
  readonly #isNamed: boolean;
  readonly #identity: string | undefined;
  readonly #store: VideoStore | undefined;
  readonly #prefixes: PrefixCache;
  #video: OpenedVideo | undefined;
  #facts: VideoFacts | undefined;
  /** Names of the tokens that were encoded here: `onFrame` was told of their frames then, and is not told of them again. */
  readonly #seen = new Set<string>();
  readonly #writes: Promise<void>[] = [];
  readonly #conversation = new Conversation();

  constructor(
    model: Model,
    request: VideoRequest,
    { videoKey, identity, store, prefixes = new PrefixCache(0) }: Memory = {},
  ) {
    this.#model = model;
    this.#request = withDefaults(request);
    this.#videoKey = videoKey ?? randomUUID();
    this.#isNamed = videoKey !== undefined;
    this.#identity = identity;
    this.#store = videoKey === undefined ? undefined : store;
    this.#prefixes = prefixes;
    prefixes.join(this.#conversation);
  }

  /**
   * Answers as `answerVideo` does. Without questions the video is made ready for short ones, and nothing is answered. A question
   * whose history ends with the one before goes on from where that lies prefilled.
   */
  async ask(questions: readonly Question[], options: SessionOptions = {}): Promise<AnswerOutcome> {
    const run = new Run(this.#model, questions, options);
    const facts = await this.#know(run);
    const asked = questions.length > 0 ? questions : [''];
    const allowed = allow(
      ...([this.#model, { ...this.#request, questions: asked }, facts, facts.info, facts.events] as const),
    );
    let first: VideoTokens | undefined;
    for (const one of allowed) {
      const encoded = await this.#encode(run, one);
      first ??= encoded.tokens;
      run.damage.push(encoded.substituted);
      const outcomeSoFar = () => this.#describe(run, facts, allowed[0]!, first!);
      if (questions.length > 0) await this.#answer(run, encoded, one, outcomeSoFar);
    }
    await Promise.all(this.#writes.splice(0));
    return this.#describe(run, facts, allowed[0]!, first!);
  }

  /** What has to be known of the video before it is planned: from the store, or by a look into the file. */
  async #know(run: Run): Promise<VideoFacts> {
    if (this.#facts) return this.#facts;
    const { sampling, limits, strict, video: path } = this.#request;
    const { defaults } = this.#model;
    const name = this.#nameOf('facts', { sampling, limits, strict, frames: defaults });
    const bytes = await this.#store?.read(name);
    const stored = bytes && unpackFacts(bytes);
    if (stored) {
      this.#facts = { ...stored, info: { ...stored.info, path } };
      return this.#facts;
    }
    if (bytes) await this.#store!.drop(name);
    const video = await this.#open(run);
    const { info, ptsSeconds, displayedSeconds } = video;
    const { events, isWhole } = await this.#findEvents(run, video);
    this.#facts = { info, ptsSeconds, displayedSeconds, events };
    if (isWhole) this.#keep(name, packFacts(this.#facts));
    return this.#facts;
  }

  async #open({ clock, signal, report }: Run): Promise<OpenedVideo> {
    const { video, limits, strict } = this.#request;
    report({ stage: 'probe' });
    if (this.#video) return this.#video;
    const opened = await clock.measure('probeMs', () => openVideo(video, limits, { signal, strict }));
    if (this.#identity !== undefined && opened.media.identity !== this.#identity)
      throw new Error(`${JSON.stringify(video)} changed after its digest was taken`);
    this.#video = opened;
    return opened;
  }

  async #findEvents({ clock, signal, report, listeners }: Run, video: OpenedVideo): Promise<Seen> {
    const { sampling, limits } = this.#request;
    const how = howToLook(video, sampling, this.#model.defaults, limits.decodeTimeoutMs);
    if (how === null) return { events: [], isWhole: true };
    return clock.measure('chooseMs', () =>
      lookForEvents(video, how, {
        ...{ signal, timeoutMs: limits.decodeTimeoutMs, changes: listeners.changes },
        onProgress: (framesDone, framesTotal) => report({ stage: 'choose', framesDone, framesTotal }),
      }),
    );
  }

  /** The video as it is allowed to be shown, in the language model. Who wants to see its frames has them decoded once. */
  async #encode(run: Run, { allowance }: Allowed): Promise<CachedVideo> {
    const { clock, listeners } = run;
    const name = this.#nameOf('tokens', { allowance, strict: this.#request.strict });
    const mustSee = listeners.onFrame !== undefined && !this.#seen.has(name);
    const prefilled = mustSee ? undefined : this.#prefixes.get(name);
    if (prefilled) {
      run.found({ name, reused: 'prefix' }, prefilled.tokens);
      run.reportGenerating(prefilled.tokens.frames.length);
      return prefilled;
    }
    const stored = mustSee ? null : await this.#readTokens(name);
    const encoded = stored ?? (await this.#encodeAnew(run, allowance));
    if (stored) run.found({ name, reused: 'tokens', bytes: stored.bytes }, stored.tokens);
    else {
      this.#seen.add(name);
      const found = run.found({ name, reused: 'none' }, encoded.tokens);
      if (this.#store) this.#keep(name, packTokens(encoded), (bytes) => Object.assign(found, { bytes }));
    }
    run.reportGenerating(allowance.indices.length);
    const opened = await clock.measure('prefillMs', () => openPrompt(this.#model, encoded.tokens));
    const video = { ...opened, substituted: encoded.substituted };
    this.#prefixes.set(name, video);
    return video;
  }

  async #readTokens(name: string): Promise<(StoredTokens & { readonly bytes: number }) | null> {
    const bytes = await this.#store?.read(name);
    if (!bytes) return null;
    const stored = unpackTokens(bytes);
    if (!stored) await this.#store!.drop(name);
    return stored && { ...stored, bytes: bytes.length };
  }

  async #encodeAnew(run: Run, allowance: Allowance): Promise<StoredTokens> {
    const { clock, signal, report, listeners } = run;
    const { limits, strict } = this.#request;
    const video = await this.#open(run);
    const { grid } = allowance;
    const { onlooker } = listeners;
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
        ...(onlooker && { onPicture: (frame) => onlooker.onFrame(frame, { frames: framesTotal, grid }) }),
      }),
    );
    clock.addFrames(tokens.frames.length);
    return { tokens, substituted };
  }

  /** sha256 of what a part of this video depends on. */
  #nameOf(kind: 'facts' | 'tokens', content: object): string {
    return createHash('sha256')
      .update(JSON.stringify([kind, this.#videoKey, content]))
      .digest('hex');
  }

  /** Writes beside the answering; `ask` waits for it at its end. */
  #keep(name: string, bytes: Uint8Array, onKept?: (bytes: number) => void): void {
    if (!this.#store) return;
    const written = this.#store.write(name, bytes);
    this.#writes.push(written.then((isThere) => (isThere ? onKept?.(bytes.length) : undefined)));
  }

  async #answer(run: Run, encoded: CachedVideo, { questions }: Allowed, outcomeSoFar: () => AnswerOutcome) {
    const { listeners, signal, clock, answers } = run;
    const { generation } = this.#request;
    const asked = questions.map((position) => run.questions[position]!);
    const { history } = listeners;
    const how = { generation, signal, history, conversation: this.#conversation };
    for await (const event of askVideo(this.#model, encoded, asked, how)) {
      const position = questions[event.question]!;
      if (event.type === 'firstToken') clock.firstToken();
      else if (event.type === 'text') listeners.onText?.(position, event.text);
      else {
        const { prefillMs, generateMs } = event.answer;
        const prefilledMs = clock.nowMs() - generateMs;
        clock.add('prefillMs', prefillMs, prefilledMs);
        clock.add('generateMs', generateMs);
        const answer = { ...event.answer, startedMs: Math.max(0, prefilledMs - prefillMs) };
        answers[position] = answer;
        this.#prefixes.makeRoom(this.#conversation);
        listeners.onAnswer?.({ ...outcomeSoFar(), answers: [answer] }, position);
        run.reportGenerating(encoded.tokens.frames.length);
      }
    }
  }

  #describe(run: Run, { info }: VideoFacts, { plan }: Allowed, tokens: VideoTokens): AnswerOutcome {
    const { answers, reused, used } = run;
    return {
      reused,
      ...(this.#isNamed && { used }),
      video: { ...info, warnings: [...info.warnings, ...tellDamage(run.damage)] },
      plan,
      tokens: countTokens(tokens),
      frames: tokens.frames,
      answers,
      timings: run.clock.record({
        decodeSteps: answers.reduce((sum, { newTokens }) => sum + newTokens - 1, 0),
        onnxMs: run.onnxMs(),
      }),
    };
  }
}

function withDefaults(request: VideoRequest): CompleteVideoRequest {
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
