import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { hostname } from 'node:os';
import type { RunRecord } from '../../../queues/runs.js';
import { isLineOf } from '../../batch/output.js';
import { renderPage } from '../../batch/report/page.js';
import { makeReport } from '../../batch/report/report.js';
import { wilson } from '../../batch/scores/intervals.js';
import { InputError } from '../../errors.js';
import { Problem } from './problems.js';
import type { Dataset } from './schemas.js';

/** A run says something every two seconds; one that was silent for so long is lost, in milliseconds. */
const silentMs = 60_000;

/** A run as the dashboard shows it. */
export async function datasetOf(record: RunRecord, now: number): Promise<Dataset> {
  const updatedAt = Date.parse(record.updatedAt);
  const state = stateOf(record, now);
  return {
    id: record.id,
    run: runOf(record.id),
    name: record.name,
    state,
    startedAt: Date.parse(record.startedAt),
    updatedAt,
    host: record.host,
    file: record.questions,
    out: record.out,
    model: record.model,
    total: record.total,
    done: record.done,
    failed: record.failed,
    cancelled: record.cancelled,
    rowsPerMinute: record.rowsPerMinute,
    secondsLeft: state === 'running' || state === 'draining' ? record.secondsLeft : null,
    accuracy: shareOf(record.accuracy),
    byKind: record.accuracyByKind.flatMap(({ kind, ...score }) => {
      const share = shareOf(score);
      return share ? [{ kind, ...share }] : [];
    }),
    failures: record.failures.map(({ message, count, example }) => ({
      ...{ kind: message, count, example: example.error },
    })),
    hasReport: await isReadableHere(record),
  };
}

export function stateOf(
  { state, updatedAt }: Pick<RunRecord, 'state' | 'updatedAt'>,
  now: number,
): Dataset['state'] {
  const isOver = state === 'done' || state === 'stopped';
  return !isOver && now - Date.parse(updatedAt) > silentMs ? 'lost' : state;
}

/** The tag `run` of its jobs: the runs of a file's parts have it in common. */
function runOf(id: string): string {
  return id.replace(/\.\d+-of-\d+$/, '');
}

/** Null where nothing said what is right. */
function shareOf({ right, count }: RunRecord['accuracy']): Dataset['accuracy'] {
  return count === 0 ? null : wilson(right, count);
}

/** How much of a file its first line is looked for in, in bytes. */
const headBytes = 256 * 1024;

/**
 * Whether the answers lie on this machine. Whoever can write to Redis can name any file: so it has to begin as the run's answers do.
 */
async function isReadableHere({
  host,
  out,
  settings,
}: Pick<RunRecord, 'host' | 'out' | 'settings'>): Promise<boolean> {
  if (host !== hostname() || out === '-') return false;
  // A named pipe would keep this waiting for whoever writes to it.
  const file = await open(out, constants.O_RDONLY | constants.O_NONBLOCK).catch(() => null);
  try {
    if (!(await file?.stat())?.isFile()) return false;
    const { buffer, bytesRead } = await file!.read(Buffer.alloc(headBytes), 0, headBytes, 0);
    const [line] = buffer.toString('utf8', 0, bytesRead).split('\n', 1);
    return isLineOf(line!, settings);
  } finally {
    await file?.close();
  }
}

/**
 * The page of `visionzip report` about a run's answers, row by row beside those of a run before where one is given.
 *
 * @throws Problem where this machine cannot read them
 */
export async function reportOf(run: RunRecord, before?: RunRecord): Promise<string> {
  for (const { host, out, settings } of before ? [run, before] : [run]) {
    if (await isReadableHere({ host, out, settings })) continue;
    throw new Problem(404, `the answers are written to ${out} on ${host}, which cannot be read here`);
  }
  try {
    return renderPage(await makeReport(run.out, { before: before?.out }), new Date());
  } catch (error) {
    if (error instanceof InputError) throw new Problem(404, error.message);
    throw error;
  }
}
