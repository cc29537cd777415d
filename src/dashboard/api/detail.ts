import { failureDocument } from '../../../queues/documents.js';
import { type AskJob, askJobSchema, type ResultDocument } from '../../../queues/schemas.js';
import { entryOf } from '../index/entry.js';
import { type JobRecord, queueKey, readRecords } from '../index/record.js';
import { commandsOf } from './commands.js';
import { type ApiContext, talk } from './context.js';
import { noJob } from './problems.js';
import type { JobDetail, JobRow } from './schemas.js';
import { findVideo } from './video.js';

/** What Redis has of a job. */
export interface FoundJob {
  readonly row: JobRow;
  readonly job: AskJob | null;
  readonly document: ResultDocument | null;
  readonly record: JobRecord | null;
}

/** @throws Problem for a job of which nothing is left; RedisUnavailableError */
export async function findJob(context: ApiContext, id: string): Promise<FoundJob> {
  const { settings, index, documents } = context;
  const key = queueKey(settings.prefix, settings.queue, id);
  return talk(context, async (redis) => {
    // What stands for a damaged document is that there is none.
    const read = documents.read(id).catch((error: Error) => {
      if (error.name !== 'UnreadableDocumentError') throw error;
      return null;
    });
    const [[record = null], document] = await Promise.all([
      readRecords(redis, [{ key, isActive: true }]),
      read,
    ]);
    const row = record
      ? rowOf(id, record, index.get(id))
      : (index.get(id) ?? (document && rowOfDocument(document)));
    if (!row) throw noJob(id);
    return { row, record, job: record && readJob(record.data), document: document ?? failureOf(row) };
  });
}

/** @throws Problem for an unknown job; RedisUnavailableError */
export async function detailOf(context: ApiContext, id: string): Promise<JobDetail> {
  const found = await findJob(context, id);
  const { row, job, document, record } = found;
  const { prefix, queue, videoDirs } = context.settings;
  const [stacktrace, logs] = await talk(context, async (redis) =>
    Promise.all([
      redis.hget(queueKey(prefix, queue, id), 'stacktrace'),
      redis.lrange(queueKey(prefix, queue, `${id}:logs`), -1_000, -1),
    ]),
  );
  return {
    ...{ row, job, document, logs },
    attempts: attemptsOf(row, record, stacktrace),
    hasSight: await hasSight(context, document),
    hasVideo: await findVideo(videoOf(found), videoDirs).then(
      () => true,
      () => false,
    ),
    commands: commandsOf(id, job, document !== null),
  };
}

/** The path of its video, as it was asked or as the worker found it. */
export function videoOf({ job, document }: Pick<FoundJob, 'job' | 'document'>): string | null {
  return job?.video ?? (document?.status === 'completed' ? document.video.path : null);
}

/** Null for a job that another program put into the queue, or another version. */
export function readJob(data: string | null): AskJob | null {
  try {
    return askJobSchema.parse(JSON.parse(data ?? ''));
  } catch {
    return null;
  }
}

function rowOf(id: string, record: JobRecord, known: JobRow | null): JobRow {
  const guess = record.processedOn === null ? 'waiting' : 'active';
  return entryOf(id, record, known && known.finishedAt === null ? known.state : guess).row;
}

/** Of a job whose record is gone. */
function rowOfDocument(document: ResultDocument): JobRow {
  const finishedAt = Date.parse(document.finishedAt);
  const record: JobRecord = {
    ...{ data: null, returnvalue: null, failedReason: null, priority: 0, worker: null, progress: null },
    ...{ timestamp: finishedAt, processedOn: null, finishedOn: finishedAt, attempts: 0 },
  };
  if (document.status !== 'completed') {
    const { row } = entryOf(document.id, { ...record, failedReason: document.error }, 'failed');
    const { status: state, fault, attempts, tags = {} } = document;
    return { ...row, state, fault, attempts, tags, dataset: tags.run ?? null };
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
  return entryOf(document.id, { ...record, ...texts }, 'completed').row;
}

/** A worker that was killed left no document; nothing is written for it here. */
function failureOf({ id, state, error, fault, attempts, tags, finishedAt }: JobRow): ResultDocument | null {
  if (state !== 'failed' && state !== 'cancelled') return null;
  const failure = failureDocument(id, error ?? '', {
    finishedOn: finishedAt ?? undefined,
    attempts,
    data: { tags },
  });
  return { ...failure, status: state, fault };
}

/** BullMQ keeps why the last attempts failed, and of the last one who made it and when. */
function attemptsOf(row: JobRow, record: JobRecord | null, stacktrace: string | null): JobDetail['attempts'] {
  const traces = tracesOf(stacktrace);
  const failed = row.state === 'completed' || row.state === 'active' ? row.attempts - 1 : row.attempts;
  return Array.from({ length: row.attempts }, (_, i) => {
    const isLast = i === row.attempts - 1;
    const trace = traces[traces.length - (failed - i)];
    const own = isLast && (row.state === 'failed' || row.state === 'cancelled') ? row.error : null;
    return {
      attempt: i + 1,
      worker: isLast ? row.worker : null,
      startedAt: isLast ? (record?.processedOn ?? null) : null,
      endedAt: isLast ? row.finishedAt : null,
      reason: i < failed ? (own ?? firstLine(trace)) : null,
    };
  });
}

function tracesOf(text: string | null): string[] {
  try {
    const traces: unknown = JSON.parse(text ?? '[]');
    return Array.isArray(traces) ? traces.map(String) : [];
  } catch {
    return [];
  }
}

function firstLine(trace: string | undefined): string | null {
  if (trace === undefined) return null;
  return trace
    .split('\n', 1)[0]!
    .replace(/^[A-Za-z]*Error: /, '')
    .slice(0, 2_000);
}

async function hasSight(context: ApiContext, document: ResultDocument | null): Promise<boolean> {
  const name = sightNameOf(document);
  return (
    name !== null &&
    (await talk(context, (redis) => redis.exists(`${context.settings.prefix}:sight:${name}`))) === 1
  );
}

/** By which a document finds what the model saw; older workers kept nothing. */
export function sightNameOf(document: ResultDocument | null): string | null {
  const name = (document as { readonly sight?: unknown } | null)?.sight;
  return typeof name === 'string' ? name : null;
}
