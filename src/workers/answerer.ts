import type { Logger } from 'pino';
import type { AskJob, Result } from '../../queues/schemas.js';
import type { AnswerOutcome, Question, Timings } from '../pipeline/types.js';
import type { Settings } from '../settings.js';
import type { FileDigests } from '../sources/digest.js';
import {
  type AnswerJobOptions,
  answerJob,
  type JobSettings,
  modelKeyOf,
  type ReadyJob,
} from './answer-job.js';
import type { Catalog } from './catalog.js';
import { buildResult } from './document.js';
import { ModelProcess, ModelProcessError } from './model-process.js';
import type { PackedSight } from './sight-maker.js';
import type { SightStore } from './sight-store.js';
import {
  type AnswerStore,
  type ContentKeyParts,
  contentKey,
  isRepeatable,
  type StoredAnswer,
  videoKey,
} from './store.js';
import type { VideoRecords } from './video-records.js';

export interface AnswererParts {
  readonly settings: JobSettings & Pick<Settings, 'abortGraceMs' | 'concurrency'>;
  readonly catalog: Catalog;
  readonly digests: FileDigests;
  readonly store: AnswerStore;
  readonly sights: SightStore;
  /** Hears what was there already. */
  readonly records: Pick<VideoRecords, 'note' | 'count'>;
  /** The compiled file that a model process runs; default the real one. */
  readonly modelEntry?: string;
}

export interface Ask {
  readonly id: string;
  readonly job: AskJob;
  /** Real path of the video. */
  readonly path: string;
  readonly queueMs: number;
  /** Who answers it, and in which attempt. */
  readonly worker?: string;
  readonly attempt?: number;
}

/** What whoever asks may hear meanwhile. */
export interface AskOptions extends Pick<AnswerJobOptions, 'signal' | 'onProgress'> {
  /** Hears which model process takes the job, and how that died; its lines name the job. */
  readonly logger?: Logger;
  /**
   * Each answer that is whole before the last one is, in a document with it alone; those alone that another attempt would repeat. The
   * last one's document is that of the job.
   */
  onAnswer?(document: Result): void;
  /** The text that was added to an answer, by the question's place in the job. */
  onText?(question: number, text: string): void;
  /** Each answer when it is whole. */
  onWhole?(question: number, answer: Result['answers'][number]): void;
}

/** What was computed, and the name of what was seen, where it is kept or about to be. */
interface Seen extends AnswerOutcome {
  readonly sight?: string;
  /** Resolves once what was seen is written, or given up. */
  readonly written: Promise<unknown>;
}

/** An answer, and whether it was stored before. */
interface Found extends StoredAnswer {
  readonly cached: boolean;
}

/**
 * Answers jobs: what is stored by its content key, the rest in a model process. It has as many processes as it
 * is given jobs at a time.
 */
export class Answerer {
  readonly #parts: AnswererParts;
  readonly #idle: ModelProcess[] = [];
  readonly #all = new Set<ModelProcess>();

  constructor(parts: AnswererParts) {
    this.#parts = parts;
  }

  /** @throws InputError, the signal's reason, and whatever goes wrong on the way. */
  async answer(ask: Ask, options: AskOptions): Promise<Result> {
    const { catalog, digests, settings } = this.#parts;
    const started = performance.now();
    const model = await catalog.find(ask.job.model);
    const file = await digests.name(ask.path, settings.limits.maxBytes, options.signal);
    const { digest: videoDigest, identity } = file;
    const ready: ReadyJob = { ...ask, videoDigest, identity, model };
    const keys = keysOf(ask.job, { videoDigest, model, provider: settings.provider });
    const found = await this.#stored(keys);
    const missing = [...new Map(ask.job.questions.map((one) => [asAsked(one), one]))]
      .filter(([name]) => !found.has(name))
      .map(([, question]) => question);
    for (const [place, question] of ask.job.questions.entries()) {
      const stored = found.get(asAsked(question));
      if (!stored) continue;
      options.onText?.(place, stored.answer.answer);
      options.onWhole?.(place, { ...stored.answer, cached: stored.cached });
    }
    let outcome: Seen | null = null;
    if (missing.length > 0) {
      outcome = await this.#run(ready, options.logger, {
        ...listenersOf(ask.job, missing, options),
        questions: missing,
      });
      await Promise.all([this.#store(keys, missing, outcome, found), outcome.written]);
      this.#parts.records.note(ready, outcome.used ?? []);
    }
    const answers = ask.job.questions.map((question) => found.get(asAsked(question))!);
    const { plan, tokens, frames, video, sight } = answers[0]!.run; // As the pipeline has it: the first question's.
    if (!outcome && sight !== undefined) void this.#parts.sights.touch(sight);
    const timings = outcome?.timings ?? lookupOnly(performance.now() - started);
    return buildResult({
      ...{ ...ready, sight },
      outcome: {
        ...{ plan, tokens, frames, timings, reused: outcome?.reused },
        video: { ...video, path: ask.path },
        answers: answers.map(({ answer }) => answer),
      },
      cached: answers.map(({ cached }) => cached),
    });
  }

  /** Kills the model processes, whatever they do. */
  async close(): Promise<void> {
    await Promise.all([...this.#all].map((process) => process.close()));
  }

  async #stored(keys: ReadonlyMap<string, string | null>): Promise<Map<string, Found>> {
    const found = new Map<string, Found>();
    const asked = [...keys].filter((entry): entry is [string, string] => entry[1] !== null);
    const stored = await this.#parts.store.read(asked.map(([, key]) => key));
    stored.forEach((answer, i) => {
      if (answer) found.set(asked[i]![0], { ...answer, cached: true });
    });
    this.#parts.records.count({ answerHits: found.size, answerMisses: asked.length - found.size });
    return found;
  }

  /** Adds the answers to `found`: where another worker was faster, the ones that it stored. */
  async #store(
    keys: ReadonlyMap<string, string | null>,
    questions: readonly Question[],
    outcome: Seen,
    found: Map<string, Found>,
  ) {
    const { video, plan, tokens, frames, sight } = outcome;
    const run = { video, plan, tokens, frames, ...(sight !== undefined && { sight }) };
    const store = async (answer: StoredAnswer['answer'], name: string) => {
      const key = keys.get(name);
      const own = { answer, run };
      const standing = key ? await this.#parts.store.writeOnce(key, own) : own;
      found.set(name, { ...standing, cached: false });
    };
    await Promise.all(outcome.answers.map((answer, i) => store(answer, asAsked(questions[i]!))));
  }

  /** Beside the answering what was seen is written. */
  async #run(ready: ReadyJob, logger: Logger | undefined, options: AnswerJobOptions): Promise<Seen> {
    const { sights } = this.#parts;
    const writing = new Map<string, Promise<unknown>>();
    const watch = {
      onSight: (sight: PackedSight) => void writing.set(sight.name, sights.write(sight)),
      isSightWanted: (name: string) => {
        const isLost = sights.touch(name);
        writing.set(name, isLost);
        return isLost;
      },
    };
    const outcome = await this.#compute(ready, logger, { ...options, ...(sights.isOpen && watch) });
    const [first] = outcome.used ?? [];
    const seen = first && writing.has(first.name) && { sight: first.name };
    return { ...outcome, ...seen, written: Promise.all(writing.values()) };
  }

  async #compute(
    ready: ReadyJob,
    logger: Logger | undefined,
    options: AnswerJobOptions,
  ): Promise<AnswerOutcome> {
    const { model, videoDigest } = ready;
    const video = videoKey({ videoDigest, model, provider: this.#parts.settings.provider });
    const modelKey = modelKeyOf(ready, this.#parts.settings);
    const process = this.#takeProcess(modelKey, video);
    const isLoaded = process.model === modelKey;
    process.start();
    const { pid } = process;
    logger?.debug({ pid, model: model.name, isLoaded, hasVideo: process.hasSeen(video) }, 'run begins');
    try {
      return await answerJob(process, ready, this.#parts, options);
    } catch (error) {
      if (error instanceof ModelProcessError)
        logger?.warn({ pid, reason: error.message }, 'model process died');
      throw error;
    } finally {
      this.#idle.push(process);
    }
  }

  /**
   * One that holds the model and may still hold the video, else one that holds the model, else one that holds none, else the one
   * whose model was not needed for longest.
   */
  #takeProcess(model: string, video: string): ModelProcess {
    const { concurrency, abortGraceMs } = this.#parts.settings;
    const idle = this.#idle;
    const fitting = [
      idle.findIndex((process) => process.model === model && process.hasSeen(video)),
      ...[model, null].map((key) => idle.findIndex((process) => process.model === key)),
    ];
    const place = fitting.find((at) => at >= 0) ?? (this.#all.size < concurrency ? -1 : 0);
    const [process = new ModelProcess({ abortGraceMs, entry: this.#parts.modelEntry })] =
      place >= 0 ? idle.splice(place, 1) : [];
    this.#all.add(process);
    return process;
  }
}

/** What is heard of the questions that are left to a model. */
function listenersOf(
  { questions, generation }: AskJob,
  missing: readonly Question[],
  { onAnswer, onText, onWhole, logger: _, ...options }: AskOptions,
): AnswerJobOptions {
  const placeOf = (index: number) => questions.findIndex((one) => asAsked(one) === asAsked(missing[index]!));
  const repeatable = isRepeatable(generation);
  let left = missing.length;
  return {
    ...options,
    onText: (index, text) => onText?.(placeOf(index), text),
    onAnswer: (document, index) => {
      const [answer] = document.answers;
      if (answer) onWhole?.(placeOf(index), answer);
      left -= 1;
      if (repeatable && left > 0) onAnswer?.(document);
    },
  };
}

/** Equal for what is asked in the same way, other than `nameQuestion`, by which answers are known. */
function asAsked(question: Question): string {
  return JSON.stringify(question);
}

/** The content key of each different question, by `asAsked`; null where answers are not to be stored. */
function keysOf(
  job: AskJob,
  parts: Pick<ContentKeyParts, 'videoDigest' | 'model' | 'provider'>,
): Map<string, string | null> {
  const repeatable = isRepeatable(job.generation);
  const keyOf = (question: Question) => (repeatable ? contentKey({ ...parts, question, job }) : null);
  return new Map(job.questions.map((question) => [asAsked(question), keyOf(question)]));
}

/** The timings of a job for which nothing was computed. */
function lookupOnly(totalMs: number): Timings {
  const video = { probeMs: 0, chooseMs: 0, decodeMs: 0, preprocessMs: 0 };
  const stages = { ...video, encodeMs: 0, compressMs: 0, projectMs: 0 };
  const model = {
    prefillMs: 0,
    generateMs: 0,
    firstTokenMs: 0,
    onnxMs: 0,
    tokensPerSecond: 0,
    framesPerSecond: 0,
  };
  return { queueMs: 0, ...stages, ...model, totalMs };
}
