import { access } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, resolve, sep } from 'node:path';
import type { AskJob, Result, ResultDocument } from '../../queues/schemas.js';
import { InputError } from '../errors.js';
import { shippedModel } from '../models/shipped.js';
import type { AnswerOutcome } from '../pipeline/types.js';
import { FileDigests } from '../sources/digest.js';
import { Catalog } from '../workers/catalog.js';
import { buildResult } from '../workers/document.js';
import { ModelProcess, type RunOptions } from '../workers/model-process.js';
import { settings } from './connect.js';
import { usageError } from './exit.js';
import { messageOf } from './format.js';

/** How a job is run here, and what its caller hears of it. */
export interface LocalOptions extends Pick<RunOptions, 'onProgress' | 'onText'> {
  readonly signal: AbortSignal;
  /** Each answer when it is whole: the document as it stands then, with this answer alone. */
  onAnswer?(document: Result): void;
  /** Folder for a picture of each frame. */
  readonly saveFrames?: string;
  /** Keep the encoded video for the next job about it. A job without questions only makes it ready. */
  readonly keepVideo?: boolean;
}

/** A model in a process of this command's own. */
export interface LocalModel {
  /** The folder's name, as jobs name a model. */
  readonly name: string;
  /** Whether it is the one that comes with the package, which knows nothing of real video. */
  readonly isShipped: boolean;
  /** Answers one job; one at a time. Throws the signal's reason when aborted. */
  document(job: AskJob, options: LocalOptions): Promise<ResultDocument>;
}

/** Lends a model, by its name below the models folders or by the path of its folder, and ends its process afterwards. */
export async function withLocalModel<T>(model: string, use: (model: LocalModel) => Promise<T>): Promise<T> {
  const { modelDirs, threads, provider, limits, decoder, abortGraceMs } = settings();
  const modelDir = await modelFolder(model, modelDirs);
  const modelProcess = new ModelProcess({ abortGraceMs });
  modelProcess.start();
  const catalog = new Catalog([dirname(modelDir)]);
  const digests = new FileDigests();
  const compute = async (job: AskJob, options: LocalOptions): Promise<Result> => {
    const { saveFrames, keepVideo, onAnswer, onProgress, onText, signal } = options;
    const videoDigest = await digests.of(job.video, limits.maxBytes, signal);
    const description = await catalog.find(basename(modelDir));
    const { video, questions, sampling, compression, generation, strict } = job;
    const request = { video, questions, sampling, compression, generation, limits, strict };
    const model = { modelDir, modelDigest: description.digest, threads, provider, decoder };
    const order = { ...model, request, saveFrames, keepVideo, tellAnswers: onAnswer !== undefined };
    const describe = (outcome: AnswerOutcome) =>
      buildResult({ id: 'local', job, outcome, videoDigest, model: description });
    const listeners = {
      onProgress,
      onText,
      onAnswer: (outcome: AnswerOutcome) => onAnswer?.(describe(outcome)),
    };
    return describe(await modelProcess.run(order, { ...listeners, signal }));
  };
  try {
    return await use({
      name: basename(modelDir),
      isShipped: modelDir === shippedModel,
      async document(job, options) {
        try {
          return await compute(job, options);
        } catch (error) {
          options.signal.throwIfAborted();
          return failureOf(error, 'local');
        }
      },
    });
  } finally {
    await modelProcess.close();
  }
}

/** A path is what looks like one (`./nano`, `/models/nano`); anything else is the name of a folder below the models folders. */
async function modelFolder(model: string, modelDirs: readonly string[]): Promise<string> {
  const isPath =
    isAbsolute(model) || model.includes('/') || model.includes(sep) || model === '.' || model === '..';
  const candidates = isPath ? [resolve(model)] : modelDirs.map((folder) => join(folder, model));
  for (const candidate of candidates) {
    // A folder that is not prepared is told so when its model is described.
    if ((await exists(join(candidate, 'visionzip.json'))) || (await exists(join(candidate, 'config.json'))))
      return candidate;
  }
  throw usageError(
    `--model: expected the folder of a prepared model with its visionzip.json; found none at ${candidates.join(' or ')}`,
    'model',
  );
}

/** The document of a job that failed here, of the form that a worker would leave. */
export function failureOf(error: unknown, id: string): ResultDocument {
  const fault = error instanceof InputError ? error.fault : 'internal';
  return {
    id,
    status: 'failed',
    error: messageOf(error),
    fault,
    attempts: 1,
    finishedAt: new Date().toISOString(),
  };
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
