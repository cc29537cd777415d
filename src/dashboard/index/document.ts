import { type Documents, UnreadableDocumentError } from '../../../queues/documents.js';
import type { ResultDocument } from '../../../queues/schemas.js';
import type { JobRow } from '../api/schemas.js';
import { type Entry, entryOf } from './entry.js';
import type { JobRecord } from './record.js';

/** The document of a job; what stands for a damaged one is that there is none. */
export async function readDocument(documents: Documents, id: string): Promise<ResultDocument | null> {
  try {
    return await documents.read(id);
  } catch (error) {
    const isNone = (error as Error).message.startsWith('WRONGTYPE');
    if (isNone || error instanceof UnreadableDocumentError) return null;
    throw error;
  }
}

/** What stays of a job that was cancelled before it began: the queue forgets it, its document tells. */
export function detachedEntry({ row, haystack }: Entry, document: ResultDocument): Entry {
  const finishedAt = Date.parse(document.finishedAt);
  const error = document.status === 'completed' ? null : document.error;
  const state = document.status;
  const ended: JobRow = { ...row, state, error, finishedAt, errorClass: null, progress: null };
  return { row: ended, haystack, stages: null, isDetached: true, isGone: false, toldAt: 0 };
}

/** The entry of a job of which nothing but its document is left. */
export function entryOfDocument(document: ResultDocument): Entry {
  const finishedAt = Date.parse(document.finishedAt);
  const record: JobRecord = {
    ...{ data: null, returnvalue: null, failedReason: null, priority: 0, worker: null, progress: null },
    ...{ timestamp: finishedAt, processedOn: null, finishedOn: finishedAt, attempts: 0 },
  };
  if (document.status !== 'completed') {
    const entry = entryOf(document.id, { ...record, failedReason: document.error }, 'failed');
    const { status: state, fault, attempts, tags = {} } = document;
    return { ...entry, row: { ...entry.row, state, fault, attempts, tags, dataset: tags.run ?? null } };
  }
  const { video, answers, model, tags, cached, frames, tokens, reused, timings } = document;
  const questions = answers.map(({ question }) => question);
  const summary = {
    cached,
    answers: answers.map(({ answer }) => answer),
    frames: frames.length,
    tokens,
    reused,
    timings,
  };
  const data = { video: video.path, questions, model: model.name, tags };
  const texts = { data: JSON.stringify(data), returnvalue: JSON.stringify(summary) };
  return entryOf(document.id, { ...record, ...texts }, 'completed');
}
