import { access, realpath } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, resolve, sep } from 'node:path';
import type { AskJob, Result, ResultDocument } from '../../queues/schemas.js';
import { InputError } from '../errors.js';
import { messageOf } from '../format.js';
import { shippedModel } from '../models/shipped.js';
import { FileDigests } from '../sources/digest.js';
import { type AnswerJobOptions, answerJob } from '../workers/answer-job.js';
import { Catalog } from '../workers/catalog.js';
import { buildResult } from '../workers/document.js';
import { ModelProcess } from '../workers/model-process.js';
import { settings } from './connect.js';
import { usageError } from './exit.js';

/** How a job is run here, and what its caller hears of it. */
export interface LocalOptions extends Omit<AnswerJobOptions, 'questions'> {
  readonly signal: AbortSignal;
}

/** A model in a process of this command's own. */
export interface LocalModel {
  /** The folder's name, as jobs name a model. */
  readonly name: string;
  /** Whether it is the one that comes with the package, which knows nothing of real video. */
  readonly isShipped: boolean;
  /** Answers one job; as many at a time as there are processes. Throws the signal's reason when aborted. */
  document(job: AskJob, options: LocalOptions): Promise<ResultDocument>;
}

/**
 * Lends a model, by its name below the models folders or by the path of its folder, and ends its processes afterwards: one, or so
 * many as are wanted, which share the threads.
 */
export async function withLocalModel<T>(
  model: string,
  use: (model: LocalModel) => Promise<T>,
  processes = 1,
): Promise<T> {
  const configured = settings();
  const current = { ...configured, threads: Math.max(1, Math.floor(configured.threads / processes)) };
  const modelDir = await modelFolder(model, current.modelDirs);
  const all = Array.from({ length: processes }, () => new ModelProcess(current));
  all[0]!.start();
  const idle = [...all];
  const catalog = new Catalog([dirname(modelDir)]);
  const parts = { settings: current, digests: new FileDigests() };
  const compute = async (job: AskJob, options: LocalOptions): Promise<Result> => {
    const path = await realpath(job.video).catch(() => job.video); // What is wrong with it is told below.
    const file = await parts.digests.name(path, current.limits.maxBytes, options.signal);
    const { digest: videoDigest, identity } = file;
    const model = await catalog.find(basename(modelDir));
    const ready = { id: 'local', job, path, videoDigest, identity, model };
    const modelProcess = idle.shift()!;
    try {
      return buildResult({ ...ready, outcome: await answerJob(modelProcess, ready, parts, options) });
    } finally {
      idle.unshift(modelProcess);
    }
  };
  try {
    return await use({
      name: basename(modelDir),
      isShipped: modelDir === shippedModel,
      async document(job, options) {
        const { deadlineMs } = job;
        const deadline = deadlineMs === undefined ? [] : [AbortSignal.timeout(deadlineMs)];
        try {
          return await compute(job, { ...options, signal: AbortSignal.any([options.signal, ...deadline]) });
        } catch (error) {
          options.signal.throwIfAborted();
          const isLate = deadline.some(({ aborted }) => aborted);
          const failure = isLate
            ? new Error(`the job was stopped at its deadline of ${deadlineMs} ms`)
            : error;
          return { ...failureOf(failure, 'local'), ...(job.tags && { tags: job.tags }) };
        }
      },
    });
  } finally {
    await Promise.all(all.map((modelProcess) => modelProcess.close()));
  }
}

/** A path is what looks like one (`./nano`, `/models/nano`); anything else is the name of a folder below the models folders. */
export async function modelFolder(model: string, modelDirs: readonly string[]): Promise<string> {
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
