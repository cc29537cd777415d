import { stat, writeFile } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import Table from 'cli-table3';
import { type Command, InvalidArgumentError } from 'commander';
import { isReadOnce, withSpooled } from '../batch/readers/spool.js';
import { defaultFields, type FieldNames } from '../batch/report/answered-row.js';
import { duration, number, percent, points, probability } from '../batch/report/format.js';
import { interval } from '../batch/report/parts.js';
import type { PicturesOfRows } from '../batch/report/pictures.js';
import type { NamedShare, Report } from '../batch/report/types.js';
import { InputError } from '../errors.js';
import { messageOf, plural } from '../format.js';
import { settings } from './connect.js';
import { usageError } from './exit.js';
import { addCommonOptions, type Context, command } from './run.js';

interface ReportOptions {
  readonly compare?: string;
  readonly out?: string;
  readonly map?: FieldNames;
  readonly videos?: string;
  readonly pictures: boolean;
}

export function addReport(program: Command): void {
  const report = program
    .command('report')
    .summary('score the answers of a batch, and compare two')
    .description(
      'Reads what `batch` wrote and says how many answers are right, by kind and category, with 95 % intervals; how many tokens and how much ' +
        'time they took; what failed; which rows are worst; and of two runs which rows got better and which worse. Open answers are compared ' +
        "without case, punctuation and articles, by VQA's rule; choices by their option, also where it is found in a sentence. No language model judges answers.",
    )
    .argument('<answers>', 'the rows that `batch` wrote to --out; "-" for standard input')
    .option('--compare <answers>', 'a run before, to say what got better and what worse since')
    .option('--out <file>', 'write one HTML page that needs nothing else')
    .option(
      '--videos <dir>',
      'folder of the videos, for the frames of the worst rows on the page; default: paths of rows are taken from the folder of the answers',
    )
    .option('--no-pictures', 'show no frames on the page')
    .option('--map <fields>', `where rows say what: ${describeFields()}`, fieldNames);
  addCommonOptions(report, [
    'report answers.jsonl',
    'report answers.jsonl --compare before.jsonl --out report.html --videos clips',
    'report answers.jsonl --map answer=gold,kind=task,id=question_id --json',
  ]).action(command(runReport));
}

async function runReport(context: Context, file: string, options: ReportOptions): Promise<void> {
  const { compare, out } = options;
  if (out !== undefined) await refuseAnswers(out, [file, ...(compare === undefined ? [] : [compare])]);
  const report = await reportOf(file, options, context).catch((error) => {
    throw error instanceof InputError ? usageError(nameOption(error.message)) : error;
  });
  if (out !== undefined) await writePage(out, report, await picturesOf(report, file, options, context));
  context.document(report);
  if (!context.json) process.stdout.write(`${describe(report)}\n`);
}

/** Answers are read twice, which a pipe does not allow; the report names what was given. */
async function reportOf(file: string, { compare, map }: ReportOptions, { signal }: Context): Promise<Report> {
  const { makeReport } = await import('../batch/report/report.js');
  const lend = async <T>(path: string, use: (path: string) => Promise<T>): Promise<T> =>
    (await isReadOnce(path)) ? withSpooled(path, signal, use) : use(path);
  return lend(file, async (path) => {
    if (compare === undefined) return { ...(await makeReport(path, { fields: map })), file };
    const report = await lend(compare, (before) => makeReport(path, { fields: map, before }));
    const { comparison } = report;
    return {
      ...report,
      file,
      ...(comparison && { comparison: { ...comparison, before: { ...comparison.before, file: compare } } }),
    };
  });
}

/** Frames of the worst rows; undefined where none are wanted. */
async function picturesOf(
  { wrong }: Report,
  file: string,
  { pictures, videos }: ReportOptions,
  { signal }: Context,
): Promise<PicturesOfRows | undefined> {
  if (!pictures) return undefined;
  const [{ useDecoder }, { takePictures }] = await Promise.all([
    import('../media/ffmpeg.js'),
    import('../batch/report/pictures.js'),
  ]);
  useDecoder(settings().decoder);
  const folder = videos ?? (file === '-' ? '.' : dirname(file));
  return takePictures(wrong, { folder, isSearched: videos !== undefined, signal });
}

async function writePage(out: string, report: Report, pictures?: PicturesOfRows): Promise<void> {
  const { renderPage } = await import('../batch/report/page.js');
  const named = { ...report, file: basename(report.file) };
  await writeFile(out, renderPage(named, new Date(), pictures)).catch((error) => {
    throw usageError(`--out: ${messageOf(error)}`);
  });
}

/** A page is written over what was there; answers are not. */
async function refuseAnswers(out: string, files: readonly string[]): Promise<void> {
  const there = await stat(out).catch(() => null);
  for (const file of files) {
    const other = await stat(file).catch(() => null);
    const isSame = there && other && there.dev === other.dev && there.ino === other.ino;
    if (isSame || resolve(out) === resolve(file))
      throw usageError(`--out must not be the file of answers ${file}`);
  }
}

function nameOption(message: string): string {
  return message.replace('with `id`', 'with --map id=NAME');
}

function describeFields(): string {
  const shown = Object.entries(defaultFields).map(([name, fields]) => {
    const usual = name === 'id' ? "the line in the questions' file" : fields.join(' or ');
    return `${name} (${usual})`;
  });
  return `NAME=FIELD,…, of ${shown.join(', ')}`;
}

function fieldNames(text: string, before: FieldNames = {}): FieldNames {
  const pairs = text.split(',').map((pair) => /^([^=]+)=(.+)$/.exec(pair.trim()));
  const names = pairs.map((pair) => pair?.[1] ?? '');
  if (names.every((name) => Object.hasOwn(defaultFields, name)))
    return { ...before, ...Object.fromEntries(pairs.map((pair) => [pair![1], [pair![2]]])) };
  const expected = Object.keys(defaultFields).join(', ');
  throw new InvalidArgumentError(`expected NAME=FIELD,… with the names ${expected}, got "${text}"`);
}

function describe(report: Report): string {
  const { rows, accuracy, byKind, byCategory, tokens, times, failures, comparison } = report;
  const median = times.stages.find(({ name }) => name === 'totalMs');
  const lines = [
    `right   ${number(accuracy.right)} of ${number(accuracy.count)}: ${percent(accuracy.value)} (95 %: ${interval(accuracy)})`,
    `rows    ${number(rows.completed)} answered, ${number(rows.failed + rows.cancelled)} failed or cancelled`,
    ...(rows.unreadable > 0 ? [`        ${plural(rows.unreadable, 'line')} could not be read`] : []),
    ...(tokens.rows > 0
      ? [
          `tokens  ${number(tokens.before)} → ${number(tokens.after)} a row, of ${number(tokens.frames)} frames`,
        ]
      : []),
    ...(median ? [`time    ${duration(median.p50)} a job in the median, p99 ${duration(median.p99)}`] : []),
    ...failures.slice(0, 5).map(({ count, example }) => `failed  ${number(count)} × ${example.error}`),
  ];
  const groups = [...byKind, ...byCategory];
  if (groups.length > 0) lines.push(tableOf(groups));
  if (comparison) {
    const { better, worse, bothRight, bothWrong, p, before, shared, onlyBefore, onlyNow } = comparison;
    const difference = points((better - worse) / (better + worse + bothRight + bothWrong));
    lines.push(
      `since   ${before.file}: ${number(better)} better, ${number(worse)} worse, ${difference} points, p ${probability(p)}`,
    );
    if (onlyBefore + onlyNow > 0)
      lines.push(
        `        of ${plural(shared, 'row')} in both; ${plural(onlyBefore, 'row')} only there, ${plural(onlyNow, 'row')} only here`,
      );
  }
  return lines.join('\n');
}

function tableOf(groups: readonly NamedShare[]): string {
  const table = new Table({
    head: ['rows', 'right', 'of', 'accuracy', '95 % interval'],
    style: { head: [], border: [] },
  });
  table.push(
    ...groups.map((group) => [
      group.name,
      ...[group.right, group.count].map(number),
      percent(group.value),
      interval(group),
    ]),
  );
  return table.toString();
}
