import { type Attempt, readAttempts } from '../../../queues/attempts.js';
import { failureDocument } from '../../../queues/documents.js';
import { type AskJob, askJobSchema, type ResultDocument } from '../../../queues/schemas.js';
import type { Sight } from '../../../queues/sight.js';
import { entryOfDocument, readDocument } from '../index/document.js';
import { entryOf, stateOf } from '../index/entry.js';
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
    const [[record = null], document] = await Promise.all([
      readRecords(redis, [{ key, isActive: true }]),
      readDocument(documents, id),
    ]);
    const row = record
      ? entryOf(id, record, stateOf(record, index.get(id))).row
      : (index.get(id) ?? (document && entryOfDocument(document).row));
    if (!row) throw noJob(id);
    return { row, record, job: record && readJob(record.data), document: document ?? failureOf(row) };
  });
}

/** @throws Problem for an unknown job; RedisUnavailableError */
export async function detailOf(context: ApiContext, id: string): Promise<JobDetail> {
  const found = await findJob(context, id);
  const { row, job, document } = found;
  const { prefix, queue, videoDirs } = context.settings;
  const logs = await talk(context, (redis) =>
    redis.lrange(queueKey(prefix, queue, `${id}:logs`), -1_000, -1),
  );
  return {
    ...{ row, job, document, logs },
    attempts: attemptsOf(row, readAttempts(logs)),
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

/** Of more attempts the last ones are shown: a record may say any number. */
const shownAttempts = 1_000;

/** Attempts that came to nothing are in the job's log, unless their worker died; of the last one its record tells. */
function attemptsOf(row: JobRow, failed: readonly Attempt[]): JobDetail['attempts'] {
  const first = Math.max(1, row.attempts - shownAttempts + 1);
  return Array.from({ length: row.attempts - first + 1 }, (_, i) => {
    const attempt = first + i;
    const told = failed.findLast((one) => one.attempt === attempt);
    const isLast = attempt === row.attempts;
    return {
      attempt,
      worker: told?.worker ?? (isLast ? row.worker : null),
      startedAt: told ? Date.parse(told.startedAt) : isLast ? row.startedAt : null,
      endedAt: told ? Date.parse(told.endedAt) : isLast ? row.finishedAt : null,
      reason: told?.reason ?? (isLast ? row.error : null),
    };
  });
}

async function hasSight(context: ApiContext, document: ResultDocument | null): Promise<boolean> {
  const name = sightNameOf(document);
  return name !== null && (await talk(context, (redis) => redis.exists(context.keys.sight(name)))) === 1;
}

/** What the model saw of a job's video; null where that is not kept. */
export async function sightOf({ client }: ApiContext, { document }: FoundJob): Promise<Sight | null> {
  const name = sightNameOf(document);
  return name === null ? null : client.sight(name);
}

function sightNameOf(document: ResultDocument | null): string | null {
  return (document?.status === 'completed' && document.sight) || null;
}
