import { access } from 'node:fs/promises';
import { basename, isAbsolute, join, resolve, sep } from 'node:path';
import type { AskJob, ResultDocument } from '../../../queues/schemas.js';
import type { AnswerListeners } from '../../pipeline/types.js';
import { settings } from '../connect.js';
import { usageError } from '../exit.js';
import { messageOf } from '../format.js';
import { ModelProcess } from './process.js';

/** What a caller may hear of a job. */
export type Listeners = Pick<AnswerListeners, 'onProgress' | 'onText'>;

/** A model in a process of this command's own. */
export interface LocalModel {
  /** The folder's name, as jobs name a model. */
  readonly name: string;
  /** Answers one job; one at a time. Throws the signal's reason when aborted. */
  document(
    job: AskJob,
    listeners: Listeners,
    signal: AbortSignal,
    saveFrames?: string,
  ): Promise<ResultDocument>;
}

/** Lends a model, by its name below the models folders or by the path of its folder, and ends its process afterwards. */
export async function withLocalModel<T>(model: string, use: (model: LocalModel) => Promise<T>): Promise<T> {
  const folder = await modelFolder(model, settings().modelDirs);
  const processOfModel = new ModelProcess();
  try {
    return await use({
      name: basename(folder),
      async document(job, listeners, signal, saveFrames) {
        try {
          return await processOfModel.answer({ job, modelFolder: folder, saveFrames }, listeners, signal);
        } catch (error) {
          signal.throwIfAborted();
          return failureOf(messageOf(error), 'local');
        }
      },
    });
  } finally {
    await processOfModel.close();
  }
}

/** A path is what looks like one (`./nano`, `/models/nano`); anything else is the name of a folder below the models folders. */
async function modelFolder(model: string, modelDirs: readonly string[]): Promise<string> {
  const isPath =
    isAbsolute(model) || model.includes('/') || model.includes(sep) || model === '.' || model === '..';
  const candidates = isPath ? [resolve(model)] : modelDirs.map((folder) => join(folder, model));
  for (const candidate of candidates) {
    if (await exists(join(candidate, 'visionzip.json'))) return candidate;
  }
  throw usageError(
    `--model: expected the folder of a prepared model with its visionzip.json; found none at ${candidates.join(' or ')}`,
  );
}

/** The document of a job that failed here, of the form that a worker would leave. */
export function failureOf(error: string, id: string): ResultDocument {
  return { id, status: 'failed', error, finishedAt: new Date().toISOString() };
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
