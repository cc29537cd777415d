import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Command } from 'commander';
import type { QueueClient } from '../../queues/client.js';
import type { AskJob, ResultDocument } from '../../queues/schemas.js';
import { type AnswerRows, answerRows, countWaiting } from '../batch/answer-rows.js';
import { layoutOf } from '../batch/layout.js';
import { BatchOutput, digestSettings, isSameFile } from '../batch/output.js';
import { presetOf } from '../batch/presets/index.js';
import { openRows } from '../batch/readers/index.js';
import { isReadOnce, withSpooled } from '../batch/readers/spool.js';
import type { Ask } from '../batch/run.js';
import { keepRunId, newRunId } from '../batch/run-file.js';
import { isStandardOutput, isStream, type RowOutput, StreamOutput } from '../batch/stream.js';
import { surveyRows } from '../batch/survey.js';
import { Tally } from '../batch/tally.js';
import { VideoFolder } from '../batch/videos.js';
import { InputError } from '../errors.js';
import { withLock } from '../workers/lock.js';
import { addBatchOptions, type BatchOptions, defaultPriority } from './batch-options.js';
import { withQueue } from './connect.js';
import { type ExitCode, exitCodes, usageError } from './exit.js';
import { failureOf, type LocalModel, withLocalModel } from './local-model.js';
import { tellOfShippedModel } from './notice.js';
import { addJobOptions, buildJob, type JobSettings, jobSettings } from './options.js';
import { startBar } from './progress.js';
import { addCommonOptions, type Context, command } from './run.js';
import { tellWhenNobodyWorks } from './wait.js';

/** How long the lock of another batch on the same output is waited for. */
const lockWaitMs = 1_000;

export function addBatch(program: Command): void {
  const batch = program
    .command('batch')
    .summary('answer every row of a file of questions')
    .description(
      'Answers the rows of a JSONL, JSON, CSV, TSV or Parquet file, each with `video` (relative to the folder of the file) and `question`, and, where it ' +
        'has them, `start` and `end` (or `startSeconds` and `endSeconds`), as --start and --end take them, `frames`, and `options` to choose from. No other option is read from rows. ' +
        'Each row is written to --out as its answer comes, with its other fields as they stand in the file, and `prediction`, `status`, `run` (job, model, frames, tokens, timings …), `batch` ' +
        'and, where it failed, `error` and `fault`, which replace fields of these names. At the end there is one line a row in the order of the file. ' +
        'Run again, it goes on where it stopped and tries failed rows again. Rows about one part of a video share a job; ' +
        'a worker that has answered them before takes no time for them.',
    )
    .argument('<file>', 'the rows; "-" for standard input');
  addBatchOptions(batch);
  addJobOptions(batch, "a model's name; with --local also the path of its folder");
  addCommonOptions(batch, [
    'batch questions.jsonl --out answers.jsonl',
    'batch questions.jsonl --out answers.jsonl --local --compression none',
    'batch questions.jsonl --out - --local --limit 10 | jq -r .prediction',
    'batch test.parquet --preset video-mme --videos data --out answers.jsonl --in-flight 16',
    'batch rows.csv --map video=clip_name,question=q --videos clips --out answers.jsonl',
  ]).action(
    command((...args: Parameters<typeof runBatchCommand>) => runBatchCommand(...args).catch(asUsageError)),
  );
}

/** What the batch has against its files and options is a wrong command line. */
function asUsageError(error: unknown): never {
  throw error instanceof InputError ? usageError(error.message, error.fault) : error;
}

async function runBatchCommand(context: Context, file: string, options: BatchOptions) {
  if (options.inFlight === 0) throw usageError('--in-flight must be at least 1');
  if (options.deadline === 0) throw usageError('--deadline must be above 0');
  if (options.keepFailed && options.retryFailed)
    throw usageError('--keep-failed leaves alone what --retry-failed asks: give one of them');
  await checkOut(file, resolve(options.out));
  const { model, ...settings } = jobSettings(options);
  // What is wrong with the options is not the rows' fault. A model here may be a path.
  buildJob('any', ['any'], {
    ...(options.local ? settings : { ...settings, model }),
    ...dispatchOf(options, options.runId ?? newRunId()),
  });
  if (!(await isReadOnce(file))) return batchOf(file, dirname(resolve(file)), options, context);
  return withSpooled(file, context.signal, (path) => batchOf(path, process.cwd(), options, context));
}

/** Before anything is read: that may take a while. */
async function checkOut(file: string, out: string): Promise<void> {
  if (await isSameFile(file, out)) throw usageError(`--out must not be the input file ${file}`);
  if (!existsSync(dirname(out))) throw usageError(`--out: there is no folder ${dirname(out)}`);
}

/** What a batch is made of before it is known where its rows go. */
type Asked = Pick<AnswerRows, 'file' | 'layout' | 'survey' | 'again' | 'locate'>;

/** @param folder paths of videos are relative to it */
async function batchOf(
  path: string,
  folder: string,
  options: BatchOptions,
  context: Context,
): Promise<ExitCode> {
  const preset = options.preset === undefined ? undefined : presetOf(options.preset);
  const videos = options.videos ?? (preset ? folder : undefined);
  if (videos !== undefined && !existsSync(videos)) throw usageError(`--videos: there is no folder ${videos}`);
  const { map, idField, limit, shard, only } = options;
  const layout = layoutOf({
    file: path,
    folder: videos === undefined ? folder : null,
    preset,
    map,
    idField,
  });
  const file = await openRows(path, options.format);
  const survey = await surveyRows(file, layout, { limit, shard, only }, context.signal);
  tellOfUnreadOptions(survey.unreadOptions);
  const finder = videos === undefined ? undefined : new VideoFolder(videos);
  const again = options.retryFailed ? 'failed' : options.keepFailed ? 'absent' : 'open';
  const asked: Asked = { file, layout, survey, again, locate: finder && ((name) => finder.find(name)) };
  return (await isStream(options.out))
    ? streamRows(asked, options, context)
    : fileRows(asked, options, context);
}

async function fileRows(asked: Asked, options: BatchOptions, context: Context): Promise<ExitCode> {
  const out = resolve(options.out);
  const { layout, survey } = asked;
  // Two batches that append to one file would lose each other's rows.
  return withLock(`${out}.lock`, lockWaitMs, async () => {
    const { replace = false } = options;
    const { idField } = layout;
    const settings = digestOf(options);
    const output = await BatchOutput.open(out, { rows: survey.rows, settings, replace, idField });
    return writeRows(asked, output, () => keepRunId(out, options.runId, output.isEmpty), options, context);
  });
}

async function streamRows(asked: Asked, options: BatchOptions, context: Context): Promise<ExitCode> {
  if (context.json && isStandardOutput(options.out))
    throw usageError(
      '--json prints a document on standard output, where --out writes the rows: give one of them',
    );
  if (options.replace || options.keepFailed || options.retryFailed)
    throw usageError(
      `--replace, --keep-failed and --retry-failed are for an --out that can be read again, ${options.out} cannot`,
    );
  process.stderr.write(`visionzip: ${options.out} cannot be gone on with: all rows are answered\n`);
  const output = await StreamOutput.open(options.out, digestOf(options), context.signal);
  return writeRows(asked, output, async () => options.runId ?? newRunId(), options, context);
}

function digestOf(options: BatchOptions): string {
  return digestSettings(jobSettings(options), { preset: options.preset, map: options.map });
}

async function writeRows(
  asked: Asked,
  output: RowOutput,
  runIdOf: () => Promise<string>,
  options: BatchOptions,
  context: Context,
): Promise<ExitCode> {
  try {
    const run = await runIdOf();
    const waiting = countWaiting({ ...asked, output });
    const rows = asked.again === 'failed' ? waiting : asked.survey.wanted;
    const tally = new Tally(rows, rows - waiting, { startBar });
    const jobs = await askRows({ ...asked, output, tally }, waiting, run, options, context);
    await output.finish();
    context.document({ ...tally.counts(), jobs, run, out: resolve(options.out) });
    return tally.failed > 0 ? exitCodes.failed : exitCodes.ok;
  } finally {
    await output.close();
  }
}

/** A row that says `fps` looks as if it were asked so. */
function tellOfUnreadOptions(names: readonly string[]): void {
  if (names.length === 0) return;
  process.stderr.write(
    `visionzip: the rows' \`${names.join('`, `')}\` ${names.length === 1 ? 'is' : 'are'} carried through and not read: ` +
      'a row sets `start`, `end` and `frames` only, the options hold for all rows\n',
  );
}

/** Returns how many jobs it took. */
async function askRows(
  parts: Asked & Pick<AnswerRows, 'output' | 'tally'>,
  waiting: number,
  run: string,
  options: BatchOptions,
  context: Context,
): Promise<number> {
  const { signal } = context;
  const onDocument = options.debug && options.only ? tellDocument : undefined;
  const answer: Answer = (ask, settings, inFlight) =>
    answerRows({
      ...parts,
      ...{ ask, inFlight, signal, onDocument },
      settings: { ...settings, ...dispatchOf(options, run) },
      build: buildJob,
    });
  parts.tally.begin();
  try {
    if (waiting === 0) return 0;
    return await (options.local ? locally(options, answer) : throughTheQueue(options, answer));
  } finally {
    parts.tally.end();
  }
}

/** What the jobs of a run say besides what is asked: whose they are, when they are taken, how long they may take. */
function dispatchOf({ tag, priority, deadline }: BatchOptions, run: string) {
  return {
    tags: { ...tag, run },
    priority: priority ?? defaultPriority,
    ...(deadline !== undefined && { deadlineMs: Math.ceil(deadline * 1000) }),
  };
}

function tellDocument(job: AskJob, document: ResultDocument): void {
  process.stderr.write(`${JSON.stringify({ job, document }, null, 2)}\n`);
}

type Answer = (ask: Ask, settings: JobSettings, inFlight: number) => Promise<number>;

async function throughTheQueue(options: BatchOptions, answer: Answer): Promise<number> {
  return withQueue(async (client) => {
    await tellWhenNobodyWorks(client);
    return answer((...asked) => askQueue(client, ...asked), jobSettings(options), options.inFlight ?? 4);
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

async function locally(options: BatchOptions, answer: Answer): Promise<number> {
  const { model: wanted, ...settings } = jobSettings(options);
  const { inFlight = 1 } = options;
  const lend = (model: LocalModel) => {
    tellOfShippedModel(model);
    const ask: Ask = (job, signal, onAnswer) =>
      model.document({ ...job, model: model.name }, { signal, onAnswer });
    return answer(ask, settings, inFlight);
  };
  return withLocalModel(wanted, lend, inFlight);
}
