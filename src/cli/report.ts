import pc from 'picocolors';
import type { Result, ResultDocument } from '../../queues/schemas.js';
import { formatMs, plural } from '../format.js';
import { spellOption, textOf } from '../pipeline/questions.js';
import { stageNames } from '../pipeline/timings.js';
import type { Question } from '../pipeline/types.js';
import { CliError, type ExitCode, exitCodes } from './exit.js';
import { nameOptions } from './options.js';
import type { Context } from './run.js';

/** Prints answers on standard output while they are generated. */
export class AnswerPrinter {
  readonly #questions: readonly Question[];
  #current = -1;

  /** @param questions asked in one go; a single answer is printed without its question. */
  constructor(questions: readonly Question[]) {
    this.#questions = questions;
  }

  /** Adds text to the answer of a question. */
  text(index: number, text: string): void {
    let added = text;
    if (index !== this.#current) {
      this.end();
      this.#current = index;
      if (this.#questions.length > 1) process.stdout.write(`${heading(textOf(this.#questions[index]!))}\n`);
      added = text.trimStart();
    }
    const question = this.#questions[index]!;
    const options = typeof question === 'string' ? null : question.options;
    process.stdout.write(spellOption(added, options));
  }

  end(): void {
    if (this.#current >= 0) process.stdout.write(this.#questions.length > 1 ? '\n\n' : '\n');
    this.#current = -1;
  }
}

function questionOf({ question, options }: Result['answers'][number]): Question {
  return options ? { question, options } : question;
}

/** How a document is reported that does not stand alone. */
export interface ReportOptions {
  /** One of several videos: its document is a line, which names it also where it failed. */
  readonly video?: string;
}

/** Prints a finished job as `enqueue --wait` and `result` do, and gives the command's exit code. */
export function reportDocument(
  document: ResultDocument,
  context: Context,
  { video }: ReportOptions = {},
): ExitCode {
  if (video === undefined) context.document(document);
  else context.line({ video: { path: video }, ...document });
  requireCompleted(document);
  if (!context.json) {
    const printer = new AnswerPrinter(document.answers.map(questionOf));
    document.answers.forEach((answer, i) => {
      printer.text(i, answer.answer);
    });
    printer.end();
    printSummary(document);
  }
  return exitCodes.ok;
}

/** Throws a CliError for a job that failed or was cancelled. */
export function requireCompleted(document: ResultDocument): asserts document is Result {
  if (document.status === 'completed') return;
  const exitCode = document.status === 'cancelled' ? exitCodes.cancelled : exitCodes.failed;
  throw new CliError(exitCode, nameOptions(document.error));
}

/**
 * Reports several videos, each below its name. One that fails is told on standard error and ends nothing but itself;
 * the exit code then is 1.
 */
export async function reportEach(
  videos: readonly string[],
  context: Context,
  report: (video: string, index: number) => Promise<ExitCode>,
): Promise<ExitCode> {
  let exitCode: ExitCode = exitCodes.ok;
  for (const [index, video] of videos.entries()) {
    if (!context.json) process.stdout.write(`${index > 0 ? '\n' : ''}${heading(video)}\n`);
    try {
      await report(video, index);
    } catch (error) {
      context.signal.throwIfAborted();
      if (!(error instanceof CliError)) throw error;
      process.stderr.write(`visionzip: ${video}: ${error.message}\n`);
      exitCode = exitCodes.failed;
    }
  }
  return exitCode;
}

/**
 * Tokens before and after, and where the time went, in a few lines on standard error.
 *
 * @param wallMs from the start of the command, where it ran the job itself.
 */
export function printSummary(result: Result, wallMs?: number): void {
  for (const line of summaryLines(result, wallMs)) process.stderr.write(`${pc.dim(line)}\n`);
}

export function summaryLines(result: Result, wallMs?: number): string[] {
  const { tokens, plan, video } = result;
  const of = plan.crops > 1 ? '' : ` of ${plan.tokensPerFrameBefore}`;
  const counts = new Set(result.frames.flatMap(({ tokens }) => (tokens === 0 ? [] : [tokens])));
  const kept = plan.budget
    ? `${plan.budget.dominant} dominant + ${plan.budget.contextual} contextual${of} ${counts.size > 1 ? 'on average, or fewer' : 'each'}`
    : `all ${plan.tokensPerFrame}${plan.crops > 1 ? '' : ' each'}`;
  const together = plan.framesTogether > 1 && plan.frames > 1 ? `, ${plan.framesTogether} at a time` : '';
  const shown = plan.events > 0 ? `, ${plan.events} where something changes` : '';
  const dropped = result.frames.filter(
    ({ tokens, takenWith }) => tokens === 0 && takenWith === undefined,
  ).length;
  const repeated = dropped > 0 ? `, ${dropped} as the one before` : '';
  const what =
    plan.crops > 1 ? plural(plan.crops, 'crop') : plural(plan.frames, 'frame') + together + shown + repeated;
  const ratio = tokens.after < tokens.before ? `, ${(tokens.before / tokens.after).toFixed(1)}× fewer` : '';
  return [
    `tokens  ${tokens.before} → ${tokens.after}${ratio} (${what}, ${kept})`,
    timeLine(result, wallMs),
    ...video.warnings.map(({ message }) => `video   ${message}`),
  ];
}

/** Stages below this share of the whole are counted together. */
const leastShare = 0.01;

const reusedText: Record<Result['reused'], string> = {
  none: '',
  tokens: '; the video was encoded before',
  prefix: '; the video lay ready',
};

/** The whole time, the longest stage first; all that is named adds up to it. */
function timeLine({ timings, cached, reused }: Result, wallMs?: number): string {
  if (cached) return `time    ${formatMs(timings.totalMs)} (answered before: nothing was computed again)`;
  const before = wallMs === undefined ? timings.queueMs : Math.max(0, wallMs - timings.totalMs);
  const wholeMs = before + timings.totalMs;
  const stages: [string, number][] = [
    // Loading the model is most of what comes before a job that runs here.
    [wallMs === undefined ? 'queue' : 'load', before],
    ...stageNames.map((name): [string, number] => [name.replace(/Ms$/, ''), timings[name]]),
  ];
  const shown = stages.filter(([, ms]) => ms >= leastShare * wholeMs).sort(([, a], [, b]) => b - a);
  const other = wholeMs - shown.reduce((sum, [, ms]) => sum + ms, 0);
  const [longest, ...rest] = [...shown, ['other', other] as const].map(
    ([name, ms]) => `${name} ${formatMs(ms)}`,
  );
  const first = formatMs(before + timings.firstTokenMs);
  const known = reusedText[reused];
  return `time    ${formatMs(wholeMs)}: longest ${longest}, then ${rest.join(', ')}; first token after ${first}${known}`;
}

function heading(question: string): string {
  return pc.isColorSupported && process.stdout.isTTY ? pc.bold(question) : question;
}
