import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Command } from 'commander';
import type { QueueClient } from '../../queues/client.js';
import type { AskJob, ResultDocument } from '../../queues/schemas.js';
import type { RowOutcome } from '../batch/line.js';
import { BatchOutput, digestSettings, isSameFile } from '../batch/output.js';
import { namesOfOptions, parseRows, type Row } from '../batch/rows.js';
import { type Ask, runBatch } from '../batch/run.js';
import { isStandardOutput, isStream, type RowOutput, StreamOutput } from '../batch/stream.js';
import { Tally } from '../batch/tally.js';
import { readJsonl } from '../batch/whole-file.js';
import { InputError } from '../errors.js';
import { withLock } from '../workers/lock.js';
import { withQueue } from './connect.js';
import { type ExitCode, exitCodes, usageError } from './exit.js';
import { failureOf, withLocalModel } from './local-model.js';
import { tellOfShippedModel } from './notice.js';
import {
  addJobOptions,
  buildJob,
  type JobOptions,
  type JobSettings,
  jobSettings,
  wholeNumber,
} from './options.js';
import { startBar } from './progress.js';
import { addCommonOptions, type Context, command } from './run.js';
import { tellWhenNobodyWorks } from './wait.js';

interface BatchOptions extends JobOptions {
  readonly out: string;
  readonly local?: boolean;
  readonly inFlight?: number;
  readonly idField?: string;
  readonly limit?: number;
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
      'Answers the rows of a JSONL file, each with `video` (relative to the folder of the file) and `question`, and, if it is about a part of the video, ' +
        '`start` and `end` (or `startSeconds` and `endSeconds`), as --start and --end take them. No other option is read from rows. ' +
        'Each row is written to --out as its answer comes, with its other fields as they stand in the file, and `prediction`, `status`, `run` (job, model, frames, tokens, timings …), `batch` ' +
        'and, where it failed, `error`, which replace fields of these names. ' +
        'Run again, it goes on where it stopped and tries failed rows again. Rows about one part of a video share a job; ' +
        'a worker that has answered them before takes no time for them.',
    )
    .argument('<file>', 'the rows: one JSON object a line')
    .requiredOption(
      '--out <file>',
      'where the answered rows go; "-" for standard output, which like a pipe cannot be gone on with',
    )
    .option('--local', 'answer here, without Redis and a worker')
    .option('--in-flight <n>', 'jobs in the queue at once (default: 4)', wholeNumber)
    .option(
      '--id-field <name>',
      'know rows by this field and not by their number: they may be moved, and more added',
    )
    .option('--limit <n>', 'answer only the first n rows of the file', wholeNumber)
    .option('--keep-failed', 'leave rows alone that failed before')
    .option('--replace', 'drop rows of --out that are not in the file any more');
  addJobOptions(batch, "a model's name; with --local also the path of its folder");
  addCommonOptions(batch, [
    'batch questions.jsonl --out answers.jsonl',
    'batch questions.jsonl --out answers.jsonl --local --compression none',
    'batch questions.jsonl --out - --local --limit 10 | jq -r .prediction',
  ]).action(
    command((...args: Parameters<typeof runBatchCommand>) => runBatchCommand(...args).catch(asUsageError)),
  );
}

async function runBatchCommand(context: Context, file: string, options: BatchOptions) {
  if (options.inFlight === 0) throw usageError('--in-flight must be at least 1');
  const rows = parseRows(await readJsonl(file), file, options.idField);
  tellOfUnreadOptions(rows);
  if (await isStream(options.out)) return streamRows(rows, options, context);
  const out = resolve(options.out);
  if (await isSameFile(file, out)) throw usageError(`--out must not be the input file ${file}`);
  if (!existsSync(dirname(out))) throw usageError(`--out: there is no folder ${dirname(out)}`);
  // Two batches that append to one file would lose each other's rows.
  return withLock(`${out}.lock`, lockWaitMs, async () => {
    const { keepFailed = false, replace = false, idField } = options;
    const settings = jobSettings(options);
    const output = await BatchOutput.open(out, { rows, settings, keepFailed, replace, idField });
    return writeRows(rows, output, options, context);
  });
}

/** What the batch has against its files and options is a wrong command line. */
function asUsageError(error: unknown): never {
  throw error instanceof InputError ? usageError(error.message, error.fault) : error;
}

async function streamRows(rows: readonly Row[], options: BatchOptions, context: Context) {
  if (context.json && isStandardOutput(options.out))
    throw usageError(
      '--json prints a document on standard output, where --out writes the rows: give one of them',
    );
  if (options.replace || options.keepFailed)
    throw usageError(
      `--replace and --keep-failed are for an --out that can be read again, ${options.out} cannot`,
    );
  process.stderr.write(`visionzip: ${options.out} cannot be gone on with: all rows are answered\n`);
  const settings = digestSettings(jobSettings(options));
  return writeRows(rows, await StreamOutput.open(options.out, settings, context.signal), options, context);
}

async function writeRows(
  rows: readonly Row[],
  output: RowOutput,
  options: BatchOptions,
  context: Context,
): Promise<ExitCode> {
  try {
    const wanted = rows.slice(0, options.limit);
    const waiting = wanted.filter((row) => !output.done.has(row.index));
    const tally = new Tally(wanted.length, wanted.length - waiting.length, { startBar });
    const jobs = await answerRows(waiting, output, tally, options, context);
    context.document({ ...tally.counts(), jobs, out: resolve(options.out) });
    return tally.failed > 0 ? exitCodes.failed : exitCodes.ok;
  } finally {
    await output.close();
  }
}

/** A row that says `frames` looks as if it were asked so. */
function tellOfUnreadOptions(rows: readonly Row[]): void {
  const names = namesOfOptions(rows);
  if (names.length === 0) return;
  process.stderr.write(
    `visionzip: the rows' \`${names.join('`, `')}\` ${names.length === 1 ? 'is' : 'are'} carried through and not read: ` +
      'a row sets `start` and `end` only, the options hold for all rows\n',
  );
}

/** Returns how many jobs it took. */
async function answerRows(
  waiting: readonly Row[],
  output: RowOutput,
  tally: Tally,
  options: BatchOptions,
  context: Context,
): Promise<number> {
  const run: Run = async (ask, settings, inFlight) => {
    const { signal } = context;
    const onRow = async (row: Row, outcome: RowOutcome) => {
      await output.append(row, outcome);
      tally.add(outcome);
    };
    return (await runBatch({ rows: waiting, settings, build: buildJob, ask, inFlight, signal, onRow })).jobs;
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
    return run((...asked) => askQueue(client, ...asked), jobSettings(options), options.inFlight ?? 4);
  });
}

async function askQueue(
  client: QueueClient,
  job: AskJob,
  signal: AbortSignal,
  onAnswer: (document: ResultDocument) => void,
): Promise<ResultDocument> {
  const id = await client.ask(job);
  try {
    return await client.wait(id, { signal, onAnswer });
  } catch (error) {
    // The job is this batch's own. Where it cannot be cancelled, because Redis has gone, it costs time and no more.
    if (signal.aborted) await client.cancel(id).catch(() => 'unknown');
    if (error instanceof RangeError) return failureOf('the job was removed from the queue', id);
    throw error;
  }
}

async function locally(options: BatchOptions, run: Run): Promise<number> {
  const { model: wanted, ...settings } = jobSettings(options);
  return withLocalModel(wanted, (model) => {
    tellOfShippedModel(model);
    const ask: Ask = (job, signal, onAnswer) =>
      model.document({ ...job, model: model.name }, { signal, onAnswer });
    return run(ask, settings, 1);
  });
}
