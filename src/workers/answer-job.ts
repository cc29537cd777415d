import type { AskJob, Result } from '../../queues/schemas.js';
import { InputError } from '../errors.js';
import type { AnswerOutcome, Question } from '../pipeline/types.js';
import type { Settings } from '../settings.js';
import { changesPath } from '../sources/changes.js';
import type { FileDigests } from '../sources/digest.js';
import type { CatalogModel } from './catalog.js';
import { buildResult } from './document.js';
import { type ModelProcess, modelKey, type RunOptions } from './model-process.js';
import { videoKey } from './store.js';

export type JobSettings = Pick<
  Settings,
  'threads' | 'provider' | 'limits' | 'decoder' | 'home' | 'tokenStore' | 'prefixBytes'
>;

/** A job that may run: its model is found, its video may be read. */
export interface ReadyJob {
  readonly id: string;
  readonly job: AskJob;
  /** Real path of the video. */
  readonly path: string;
  readonly videoDigest: string;
  /** See `identityOf`, of the file when its digest was taken. */
  readonly identity: string;
  readonly model: CatalogModel;
  /** From enqueue to the start of the attempt, in milliseconds; default 0: there was no queue. */
  readonly queueMs?: number;
  /** Who answers it, and in which attempt. */
  readonly worker?: string;
  readonly attempt?: number;
}

export interface AnswerJobOptions extends Omit<RunOptions, 'onAnswer'> {
  /** Which of its questions; default all. */
  readonly questions?: readonly Question[];
  /** Each answer when it is whole, in a document with it alone; by the question's place among those. */
  onAnswer?(document: Result, questionIndex: number): void;
  /** Folder for a picture of each frame. */
  readonly saveFrames?: string;
  /** Keep the encoded video for the next job about it. A job without questions only makes it ready. */
  readonly keepVideo?: boolean;
}

/** What a process must hold loaded for the job. */
export function modelKeyOf({ model }: Pick<ReadyJob, 'model'>, settings: JobSettings): string {
  return modelKey({ modelDir: model.dir, modelDigest: model.digest, ...settings });
}

/**
 * Answers a job in a model process.
 *
 * @throws as `ModelProcess.run`; InputError where the path became a link to another file, Error where the file changed
 *   while it was read.
 */
export async function answerJob(
  process: ModelProcess,
  ready: ReadyJob,
  { settings, digests }: { readonly settings: JobSettings; readonly digests: FileDigests },
  { questions, onAnswer, saveFrames, keepVideo, ...options }: AnswerJobOptions,
): Promise<AnswerOutcome> {
  const { job, path, model, videoDigest, identity } = ready;
  const { threads, provider, limits, decoder, tokenStore: store, prefixBytes } = settings;
  const { history, sampling, compression, overTime, generation, strict } = job;
  const asked = {
    questions: questions ?? job.questions,
    history,
    sampling,
    compression,
    overTime,
    generation,
    strict,
  };
  const order = {
    ...{ modelDir: model.dir, modelDigest: model.digest, threads, provider, decoder },
    ...{ request: { video: path, limits, ...asked }, saveFrames, keepVideo },
    tellAnswers: onAnswer !== undefined,
    tellSight: options.onSight !== undefined,
    changeFile: changesPath(settings.home, videoDigest),
    ...{ videoKey: videoKey({ videoDigest, model, provider }), identity },
    ...{ prefixBytes, ...(store.limitBytes > 0 && { store }) },
  };
  const tell = (outcome: AnswerOutcome, questionIndex: number) =>
    onAnswer?.(buildResult({ ...ready, outcome }), questionIndex);
  const outcome = await process.run(order, { ...options, onAnswer: tell });
  if (outcome.video.path !== path) {
    throw new InputError(`${path} became a link to ${outcome.video.path}, which was not checked`);
  }
  if ((await digests.of(path, limits.maxBytes, options.signal)) !== videoDigest) {
    throw new Error(`${path} changed while it was read`);
  }
  return outcome;
}
