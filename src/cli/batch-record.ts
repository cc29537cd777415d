import { realpath } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { QueueClient } from '../../queues/client.js';
import { hasEnded, type RunRecord, silenceOf } from '../../queues/runs.js';
import type { BatchRun } from '../batch/run.js';
import type { RunCounts } from '../batch/run-counts.js';
import { RunRecorder, type RunRecorderParts } from '../batch/run-recorder.js';
import type { Tally } from '../batch/tally.js';
import { isAlive } from '../workers/lock.js';
import { type BatchOptions, dispatchOf } from './batch-options.js';
import { CliError, exitCodes, usageError } from './exit.js';
import { jobSettings } from './options.js';

/** What is known of a run before its rows are asked. */
export interface RunAbout {
  /** How many rows are to be asked now. */
  readonly waiting: number;
  /** Its id. */
  readonly run: string;
  /** Digest of its options. */
  readonly settings: string;
}

interface Recorded {
  readonly client: QueueClient;
  /** The file of rows as the command line has it. */
  readonly given: string;
  readonly about: RunAbout;
  readonly options: BatchOptions;
  readonly tally: Tally;
  readonly counts: RunCounts;
  readonly signal: AbortSignal;
}

/** Keeps the record of a run in Redis while its rows are answered, and lets `visionzip runs` and others steer it. */
export async function withRecord<T>(
  recorded: Recorded,
  use: (how: Pick<BatchRun, 'signal' | 'mayGoOn'>) => Promise<T>,
): Promise<T> {
  const { client, tally, counts } = recorded;
  const about = await describeRun(recorded);
  await refuseAnother(client, about.id, recorded.signal);
  const stop = new AbortController();
  const recorder = new RunRecorder({
    ...{ about, tally, counts },
    report: (record) => client.reportRun(record),
    forget: () => client.controlRun(about.id, null),
    onStop: () => stop.abort(new CliError(exitCodes.interrupted, 'stopped by `visionzip runs stop`')),
  });
  await recorder.begin();
  try {
    const signal = AbortSignal.any([recorded.signal, stop.signal]);
    return await use({ signal, mayGoOn: (aborted) => recorder.mayGoOn(aborted) });
  } finally {
    await recorder.end(tally.counts().waiting === 0 ? 'done' : 'stopped');
  }
}

/** How long it takes at most until a run that goes on is heard of again, in milliseconds. */
const heardMs = 5_000;

/**
 * Two under one id would overwrite what the other says of it, and be steered as one. One that was killed just now is heard of no more: the
 * same command goes on for it.
 */
async function refuseAnother(client: QueueClient, id: string, signal: AbortSignal): Promise<void> {
  const read = () => client.run(id).catch(() => null); // Without Redis there is no record either.
  const other = await read();
  if (!other || hasEnded(other) || silenceOf(other) > 0 || isDead(other)) return;
  await pause(heardMs, undefined, { signal }).catch(() => signal.throwIfAborted());
  const later = await read();
  if (!later || hasEnded(later) || later.updatedAt === other.updatedAt) return;
  throw usageError(
    `the run ${id} goes on in process ${other.pid} on ${other.host}: wait for it, end it by \`visionzip runs stop ${id}\`, or name this one ` +
      'otherwise by --run-id',
  );
}

function isDead({ host, pid }: RunRecord): boolean {
  return host === hostname() && (pid === process.pid || !isAlive(pid));
}

async function describeRun({ given, about, options }: Recorded): Promise<RunRecorderParts['about']> {
  const { run, settings } = about;
  const { shard, out } = options;
  return {
    // Parts of a file may be given the same id, so that their jobs are of one run; each says for itself how far it is.
    id: shard ? `${run}.${shard.part}-of-${shard.count}` : run,
    name: basename(given),
    ...{ questions: await realPath(given), out: await realPath(out) },
    ...{ host: hostname(), pid: process.pid },
    ...{ model: jobSettings(options).model, settings, tags: dispatchOf(options, run).tags },
  };
}

/** What is no file, such as "-", is what it is called. */
function realPath(path: string): Promise<string> {
  return realpath(path).catch(() => path);
}
