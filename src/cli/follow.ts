import type { QueueClient } from '../../queues/client.js';
import type { ResultDocument } from '../../queues/schemas.js';
import type { StreamEvent } from '../../queues/transcript.js';
import type { Question } from '../pipeline/types.js';
import { type ExitCode, exitCodes } from './exit.js';
import { AnswerPrinter, printSummary, type ReportOptions, requireCompleted } from './report.js';
import type { Context } from './run.js';
import { describeEnd, tellWhenNobodyWorks } from './wait.js';

export interface FollowOptions extends ReportOptions {
  readonly questions: readonly Question[];
  readonly timeoutSeconds?: number;
}

/** Prints the answers of a job as they are generated, and how it ended. */
export async function followAndReport(
  client: QueueClient,
  id: string,
  context: Context,
  { questions, timeoutSeconds, video }: FollowOptions,
): Promise<ExitCode> {
  await tellWhenNobodyWorks(client);
  const page = new Page(questions);
  const timeoutMs = timeoutSeconds === undefined ? undefined : timeoutSeconds * 1000;
  let document: ResultDocument;
  try {
    for await (const event of client.stream(id, { timeoutMs, signal: context.signal })) {
      if (event.type === 'document') document = event.document;
      if (context.json) context.line({ ...(video !== undefined && { video: { path: video } }), ...event });
      else page.show(event);
    }
  } catch (error) {
    throw describeEnd(error, id, timeoutSeconds);
  } finally {
    page.end();
  }
  requireCompleted(document!);
  if (!context.json) printSummary(document!);
  return exitCodes.ok;
}

/** The answers on standard output. What is printed stays there: a text that begins anew is printed anew. */
class Page {
  readonly #questions: readonly Question[];
  #printer: AnswerPrinter;

  constructor(questions: readonly Question[]) {
    this.#questions = questions;
    this.#printer = new AnswerPrinter(questions);
  }

  show(event: StreamEvent): void {
    if (event.type === 'text') this.#printer.text(event.question, event.text);
    if (event.type !== 'restart') return;
    this.end();
    process.stderr.write('visionzip: the job was tried again: its answers begin anew\n');
    this.#printer = new AnswerPrinter(this.#questions);
  }

  end(): void {
    this.#printer.end();
  }
}
