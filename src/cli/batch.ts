import { existsSync, statSync } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Command } from 'commander';
import { countWaiting } from '../batch/answer-rows.js';
import { layoutOf } from '../batch/layout.js';
import { BatchOutput, digestSettings, isSameFile } from '../batch/output.js';
import { presetOf } from '../batch/presets/index.js';
import { openRows } from '../batch/readers/index.js';
import { isReadOnce, withSpooled } from '../batch/readers/spool.js';
import { keepRunId, newRunId } from '../batch/run-file.js';
import { isStandardOutput, isStream, type RowOutput, StreamOutput } from '../batch/stream.js';
import { surveyRows } from '../batch/survey.js';
import { Tally } from '../batch/tally.js';
import { VideoFolder } from '../batch/videos.js';
import { InputError } from '../errors.js';
import { plural } from '../format.js';
import { withLock } from '../workers/lock.js';
import { type Asked, askRows } from './batch-ask.js';
import { addBatchOptions, type BatchOptions, dispatchOf } from './batch-options.js';
import { CliError, type ExitCode, exitCodes, usageError } from './exit.js';
import { addJobOptions, buildJob, jobSettings } from './options.js';
import { startBar } from './progress.js';
import { addCommonOptions, type Context, command } from './run.js';

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
  const given = file;
  if (!(await isReadOnce(file)))
    return batchOf({ given, path: file, folder: dirname(resolve(file)) }, options, context);
  const folder = process.cwd();
  return withSpooled(file, context.signal, (path) => batchOf({ given, path, folder }, options, context));
}

/** Before anything is read: that may take a while. */
async function checkOut(file: string, out: string): Promise<void> {
  if (await isSameFile(file, out)) throw usageError(`--out must not be the input file ${file}`);
  if (!existsSync(dirname(out))) throw usageError(`--out: there is no folder ${dirname(out)}`);
}

/** @param folder paths of videos are relative to it */
async function batchOf(
  { given, path, folder }: { readonly given: string; readonly path: string; readonly folder: string },
  options: BatchOptions,
  context: Context,
): Promise<ExitCode> {
  const preset = options.preset === undefined ? undefined : presetOf(options.preset);
  const videos = options.videos ?? (preset ? folder : undefined);
  if (videos !== undefined && !statSync(videos, { throwIfNoEntry: false })?.isDirectory())
    throw usageError(`--videos: there is no folder ${videos}`);
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
  tellOfAbsentColumns(survey.absentColumns);
  const finder = videos === undefined ? undefined : new VideoFolder(videos);
  const again = options.retryFailed ? 'failed' : options.keepFailed ? 'absent' : 'open';
  const locate = finder && ((name: string) => finder.find(name));
  const asked: Asked = { given, file, layout, survey, again, locate };
  return (await isStream(options.out))
    ? streamRows(asked, options, context)
    : fileRows(asked, options, context);
}

async function fileRows(asked: Asked, options: BatchOptions, context: Context): Promise<ExitCode> {
  const out = resolve(options.out);
  const { layout, survey } = asked;
  // Two batches that append to one file would lose each other's rows, whatever links lead there.
  return withLock(`${await realpath(out).catch(() => out)}.lock`, lockWaitMs, async () => {
    const { replace = false } = options;
    const { idField } = layout;
    const settings = digestOf(options);
    const output = await BatchOutput.open(out, { rows: survey.rows, settings, replace, idField });
    const runIdOf = () => keepRunId(out, options.runId, output.isEmpty);
    return writeRows(asked, output, settings, runIdOf, options, context);
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
  const settings = digestOf(options);
  const output = await StreamOutput.open(options.out, settings, context.signal);
  return writeRows(asked, output, settings, async () => options.runId ?? newRunId(), options, context);
}

function digestOf(options: BatchOptions): string {
  return digestSettings(jobSettings(options), { preset: options.preset, map: options.map });
}

async function writeRows(
  asked: Asked,
  output: RowOutput,
  settings: string,
  runIdOf: () => Promise<string>,
  options: BatchOptions,
  context: Context,
): Promise<ExitCode> {
  try {
    const run = await runIdOf();
    const waiting = countWaiting({ ...asked, output });
    const rows = asked.again === 'failed' ? waiting : asked.survey.wanted;
    const tally = new Tally(rows, rows - waiting, { startBar });
    const jobs = await askRows({ ...asked, output, tally }, { waiting, run, settings }, options, context);
    checkDrained(tally, output);
    context.document({ ...tally.counts(), jobs, run, out: resolve(options.out) });
    return tally.failed > 0 ? exitCodes.failed : exitCodes.ok;
  } finally {
    await output.close();
  }
}

/** Rows are left without an error where the run was asked to take no more. */
function checkDrained(tally: Tally, output: RowOutput): void {
  const { waiting } = tally.counts();
  if (waiting === 0) return;
  const rest = output instanceof StreamOutput ? '' : '; the same command goes on with them';
  const message = `drained: ${plural(waiting, 'row')} not asked${rest}`;
  throw new CliError(exitCodes.interrupted, message);
}

/** A row that says `fps` looks as if it were asked so. */
function tellOfUnreadOptions(names: readonly string[]): void {
  if (names.length === 0) return;
  process.stderr.write(
    `visionzip: the rows' \`${names.join('`, `')}\` ${names.length === 1 ? 'is' : 'are'} carried through and not read: ` +
      'a row sets `start`, `end` and `frames` only, the options hold for all rows\n',
  );
}

function tellOfAbsentColumns(names: readonly string[]): void {
  if (names.length === 0) return;
  process.stderr.write(`visionzip: no row has \`${names.join('`, `')}\`, which --map names\n`);
}
