import type { AskJob, ResultDocument } from '../../../queues/schemas.js';
import { buildJob, type JobSettings } from '../options.js';
import type { RowOutcome } from './output.js';
import { type Group, groupByVideo, type Row } from './rows.js';

/** Answers one job, here or through the queue. Throws only where no further job could succeed either. */
export type Ask = (job: AskJob, signal: AbortSignal) => Promise<ResultDocument>;

export interface BatchRun {
  /** Rows to answer, in the order of the input. */
  readonly rows: readonly Row[];
  readonly settings: JobSettings;
  readonly ask: Ask;
  /** Jobs under way at once. */
  readonly inFlight: number;
  readonly signal: AbortSignal;
  /** Called once for each row, as it finishes. */
  onRow(row: Row, outcome: RowOutcome): Promise<void>;
}

/** Answers every row; a row that fails is an outcome, not an exception. Returns how many jobs were asked. */
export async function runBatch(run: BatchRun): Promise<{ jobs: number }> {
  for (const row of run.rows) {
    if (row.error !== undefined)
      await run.onRow(row, { status: 'failed', prediction: null, error: row.error });
  }
  const waiting = groupByVideo(run.rows);
  const stop = new AbortController();
  const signal = AbortSignal.any([run.signal, stop.signal]);
  let jobs = 0;
  const lane = async () => {
    for (let group = waiting.shift(); group; group = waiting.shift()) {
      signal.throwIfAborted();
      jobs++;
      waiting.unshift(...(await answerGroup(group, run, signal)));
    }
  };
  const lanes = Array.from({ length: run.inFlight }, () =>
    lane().catch((error) => {
      stop.abort(error);
      throw error;
    }),
  );
  const failed = (await Promise.allSettled(lanes)).find((result) => result.status === 'rejected');
  run.signal.throwIfAborted();
  if (failed) throw stop.signal.reason;
  return { jobs };
}

/** Asks a group's questions in one job, a repeated question once. Returns what has to be asked again in smaller groups. */
async function answerGroup(group: Group, run: BatchRun, signal: AbortSignal): Promise<Group[]> {
  const questions = [...new Set(group.rows.map((row) => row.ask!.question))];
  const document = await run.ask(buildJob(group.video, questions, run.settings), signal);
  if (document.status === 'failed' && questions.length > 1 && mayBeOneQuestion(document.error)) {
    return halves(group);
  }
  for (const row of group.rows) await run.onRow(row, outcomeOf(document, row.ask!.question));
  return [];
}

/** One question that is too long, or that holds a special token, fails the job of its whole group. */
function mayBeOneQuestion(error: string): boolean {
  return /the question is too long|a question is plain text|visual tokens do not fit/.test(error);
}

function halves({ video, rows }: Group): Group[] {
  const middle = Math.ceil(rows.length / 2);
  return [rows.slice(0, middle), rows.slice(middle)].map((half) => ({ video, rows: half }));
}

function outcomeOf(document: ResultDocument, question: string): RowOutcome {
  if (document.status !== 'completed') {
    return { status: document.status, prediction: null, error: document.error };
  }
  const answer = document.answers.find((candidate) => candidate.question === question);
  if (!answer)
    return { status: 'failed', prediction: null, error: 'the result has no answer to this question' };
  return { status: 'completed', prediction: answer.answer };
}
