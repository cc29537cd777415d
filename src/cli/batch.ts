import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Command } from 'commander';
import type { QueueClient } from '../../queues/client.js';
import type { AskJob, ResultDocument } from '../../queues/schemas.js';
import { withLock } from '../workers/lock.js';
import { BatchOutput, isSameFile, type RowOutcome } from './batch/output.js';
import { parseRows, type Row } from './batch/rows.js';
import { type Ask, runBatch } from './batch/run.js';
import { Tally } from './batch/tally.js';
import { withQueue } from './connect.js';
import { exitCodes, usageError } from './exit.js';
import { messageOf } from './format.js';
import { failureOf, withLocalModel } from './local-model.js';
import { addJobOptions, type JobOptions, type JobSettings, jobSettings, wholeNumber } from './options.js';
import { addCommonOptions, type Context, command } from './run.js';
import { tellWhenNobodyWorks } from './wait.js';

interface BatchOptions extends JobOptions {
  readonly out: string;
  readonly local?: boolean;
  readonly inFlight?: number;
  readonly keepFailed?: boolean;
  readonly replace?: boolean;
}

/** How long the lock of another batch on the same output is waited for. */
const lockWaitMs = 1_000;

export function addBatch(program: Command): void {
  const batch = program
    .command('batch')
    .summary('answer every row of a JSONL file')
    .description(
      'Answers the rows of a JSONL file, each with `video` (relative to the folder of the file) and `question`. ' +
        'Each row is appended to --out as it finishes, with its other fields, `prediction`, `status`, `batch` and, where it failed, `error` (which replace fields of these names). ' +
        'Run again, it goes on where it stopped and tries failed rows again. Rows about one video share a job.',
    )
    .argument('<file>', 'the rows: one JSON object a line')
    .requiredOption('--out <file>', 'where the answered rows go')
    .option('--local', 'answer here, without Redis and a worker')
    .option('--in-flight <n>', 'jobs in the queue at once (default: 4)', wholeNumber)
    .option('--keep-failed', 'leave rows alone that failed before')
    .option('--replace', 'drop rows of --out that are not in the file any more');
  addJobOptions(batch, "a model's name; with --local also the path of its folder");
  addCommonOptions(batch, [
    'batch questions.jsonl --out answers.jsonl',
    'batch questions.jsonl --out answers.jsonl --local --compression none',
  ]).action(command(runBatchCommand));
}

async function runBatchCommand(context: Context, file: string, options: BatchOptions) {
  if (options.inFlight === 0) throw usageError('--in-flight must be at least 1');
  const rows = parseRows(await readRows(file), file);
  const out = resolve(options.out);
  if (await isSameFile(file, out)) throw usageError(`--out must not be the input file ${file}`);
  if (!existsSync(dirname(out))) throw usageError(`--out: there is no folder ${dirname(out)}`);
  // Two batches that append to one file would lose each other's rows.
  return withLock(`${out}.lock`, lockWaitMs, () => runLocked(rows, out, options, context));
}

async function runLocked(rows: readonly Row[], out: string, options: BatchOptions, context: Context) {
  const { keepFailed = false, replace = false } = options;
  const output = await BatchOutput.open(out, { rows, settings: jobSettings(options), keepFailed, replace });
  try {
    const tally = new Tally(rows.length, output.done.size);
    const jobs = await answerRows(rows, output, tally, options, context);
    context.document({ ...tally.counts(), jobs, out });
    return tally.failed > 0 ? exitCodes.failed : exitCodes.ok;
  } finally {
    await output.close();
  }
}

/** Answers the rows that are not in the output yet. Returns how many jobs that took. */
async function answerRows(
  rows: readonly Row[],
  output: BatchOutput,
  tally: Tally,
  options: BatchOptions,
  context: Context,
): Promise<number> {
  const waiting = rows.filter((row) => !output.done.has(row.index));
  const run: Run = async (ask, settings, inFlight) => {
    const { signal } = context;
    const onRow = async (row: Row, outcome: RowOutcome) => {
      await output.append(row, outcome);
      tally.add(outcome);
    };
    return (await runBatch({ rows: waiting, settings, ask, inFlight, signal, onRow })).jobs;
  };
  tally.begin();
  try {
    if (waiting.length === 0) return 0;
    return await (options.local ? locally(options, run) : throughTheQueue(options, run));
  } finally {
    tally.end();
  }
}

type Run = (ask: Ask, settings: JobSettings, inFlight: number) => Promise<number>;

async function throughTheQueue(options: BatchOptions, run: Run): Promise<number> {
  return withQueue(async (client) => {
    await tellWhenNobodyWorks(client);
    return run((job, signal) => askQueue(client, job, signal), jobSettings(options), options.inFlight ?? 4);
  });
}

async function askQueue(client: QueueClient, job: AskJob, signal: AbortSignal): Promise<ResultDocument> {
  const id = await client.ask(job);
  try {
    return await client.wait(id, { signal });
  } catch (error) {
    // The job is this batch's own. Where it cannot be cancelled, because Redis has gone, it costs time and no more.
    if (signal.aborted) await client.cancel(id).catch(() => 'unknown');
    if (error instanceof RangeError) return failureOf('the job was removed from the queue', id);
    throw error;
  }
}

async function locally(options: BatchOptions, run: Run): Promise<number> {
  const settings = { ...jobSettings(options), model: undefined };
  return withLocalModel(options.model, (model) => {
    const ask: Ask = (job, signal) => model.document({ ...job, model: model.name }, {}, signal);
    return run(ask, settings, 1);
  });
}

async function readRows(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw usageError(`cannot read the rows: ${messageOf(error)}`);
  }
}
