import pc from 'picocolors';
import type { Result, ResultDocument } from '../../queues/schemas.js';
import { CliError, type ExitCode, exitCodes } from './exit.js';
import { formatMs, plural } from './format.js';
import type { Context } from './run.js';

/** Prints answers on standard output while they are generated. */
export class AnswerPrinter {
  readonly #questions: readonly string[];
  #current = -1;

  /** @param questions asked in one go; a single answer is printed without its question. */
  constructor(questions: readonly string[]) {
    this.#questions = questions;
  }

  /** Adds text to the answer of a question. */
  text(index: number, text: string): void {
    let added = text;
    if (index !== this.#current) {
      this.end();
      this.#current = index;
      if (this.#questions.length > 1) process.stdout.write(`${heading(this.#questions[index]!)}\n`);
      added = text.trimStart();
    }
    process.stdout.write(added);
  }

  end(): void {
    if (this.#current >= 0) process.stdout.write(this.#questions.length > 1 ? '\n\n' : '\n');
    this.#current = -1;
  }
}

/** Prints a finished job as `ask`, `enqueue --wait` and `result` do, and gives the command's exit code. */
export function reportDocument(document: ResultDocument, context: Context): ExitCode {
  context.document(document);
  if (document.status !== 'completed') {
    const exitCode = document.status === 'cancelled' ? exitCodes.cancelled : exitCodes.failed;
    throw new CliError(exitCode, document.error);
  }
  if (!context.json) {
    const printer = new AnswerPrinter(document.answers.map((answer) => answer.question));
    document.answers.forEach((answer, i) => {
      printer.text(i, answer.answer);
    });
    printer.end();
    printSummary(document);
  }
  return exitCodes.ok;
}

/** Tokens before and after, and where the time went, in a few lines on standard error. */
export function printSummary(result: Result): void {
  for (const line of summaryLines(result)) process.stderr.write(`${pc.dim(line)}\n`);
}

export function summaryLines(result: Result): string[] {
  const { tokens, plan, timings } = result;
  const of = plan.crops > 1 ? '' : ` of ${plan.tokensPerFrameBefore}`;
  const kept = plan.budget
    ? `${plan.budget.dominant} dominant + ${plan.budget.contextual} contextual${of} each`
    : `all ${plan.tokensPerFrame}${plan.crops > 1 ? '' : ' each'}`;
  const what = plan.crops > 1 ? plural(plan.crops, 'crop') : plural(plan.frames, 'frame');
  const ratio = tokens.after < tokens.before ? `, ${(tokens.before / tokens.after).toFixed(1)}× fewer` : '';
  const lines = [`tokens  ${tokens.before} → ${tokens.after}${ratio} (${what}, ${kept})`];
  if (result.cached)
    return [...lines, `time    ${formatMs(timings.totalMs)} (answered before: nothing was computed again)`];
  const stages = [
    ['decode', timings.decodeMs],
    ['encode', timings.encodeMs],
    ['compress', timings.compressMs],
    ['prefill', timings.prefillMs],
    ['generate', timings.generateMs],
  ] as const;
  const spent = stages.map(([name, ms]) => `${name} ${formatMs(ms)}`).join(', ');
  const first = `first token after ${formatMs(timings.firstTokenMs)}`;
  return [...lines, `time    ${formatMs(timings.totalMs)}: ${spent}; ${first}`];
}

function heading(question: string): string {
  return pc.isColorSupported && process.stdout.isTTY ? pc.bold(question) : question;
}
