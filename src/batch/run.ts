import type { AskJob, ResultDocument } from '../../queues/schemas.js';
import { messageOf } from '../format.js';
import { type Group, groupByVideo } from './groups.js';
import type { BuildJob, JobSettings } from './job.js';
import { outcomeOf, type RowOutcome } from './line.js';
import type { Range, Row } from './rows.js';

/**
 * Answers one job, here or through the queue. Throws only where no further job could succeed either. `onAnswer` may be
 * told of each answer when it is whole, by a document with it alone; the last document has all.
 */
export type Ask = (
  job: AskJob,
  signal: AbortSignal,
  onAnswer: (document: ResultDocument) => void,
) => Promise<ResultDocument>;

export interface BatchRun {
  /** Rows to answer, in the order of the input. */
  readonly rows: readonly Row[];
  readonly settings: JobSettings;
  readonly build: BuildJob;
  readonly ask: Ask;
  /** Jobs under way at once. */
  readonly inFlight: number;
  readonly signal: AbortSignal;
  /** Called once for each row, as it finishes. */
  onRow(row: Row, outcome: RowOutcome): Promise<void>;
}

/** Answers every row; a row that fails is an outcome, not an exception. Returns how many jobs were asked. */
export async function runBatch(run: BatchRun): Promise<{ jobs: number }> {
  const sound: Row[] = [];
  for (const row of run.rows) {
    const error = row.error ?? faultOf(row, run);
    if (error === undefined) sound.push(row);
    else await run.onRow(row, { status: 'failed', prediction: null, error });
  }
  const waiting = groupByVideo(sound);
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

/** What the contract has against a row together with the options, such as a start behind its end. */
function faultOf(row: Row, { build, settings }: BatchRun): string | undefined {
  const { video, question, range } = row.ask!;
  try {
    build(video, [question], withRange(settings, range));
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

function withRange(settings: JobSettings, range: Range): JobSettings {
  return { ...settings, sampling: { ...settings.sampling, ...range } };
}

/** Asks a group's questions in one job, a repeated question once. Returns what has to be asked again in smaller groups. */
async function answerGroup(group: Group, run: BatchRun, signal: AbortSignal): Promise<Group[]> {
  const waiting = new Set(group.rows);
  const write = async (rows: readonly Row[], document: ResultDocument) => {
    for (const row of rows) {
      if (waiting.delete(row)) await run.onRow(row, outcomeOf(document, row.ask!.question));
    }
  };
  let written = Promise.resolve();
  const onAnswer = (document: ResultDocument) => {
    if (document.status !== 'completed') return;
    const answered = new Set(document.answers.map(({ question }) => question));
    const rows = group.rows.filter((row) => answered.has(row.ask!.question));
    written = written.then(() => write(rows, document));
    written.catch(() => {}); // Told below, where it is awaited.
  };
  const questions = [...new Set(group.rows.map((row) => row.ask!.question))];
  const job = run.build(group.video, questions, withRange(run.settings, group.range));
  const document = await run.ask(job, signal, onAnswer).finally(() => written);
  const left = new Set([...waiting].map((row) => row.ask!.question));
  if (left.size > 1 && mayBeOneQuestion(document)) return halves({ ...group, rows: [...waiting] });
  await write(group.rows, document);
  return [];
}

/**
 * One question fails the job of its whole group: it is too long, or holds a special token, or leaves the frames that the
 * settings demand less room than the others do.
 */
function mayBeOneQuestion(document: ResultDocument): boolean {
  return document.status === 'failed' && (document.fault === 'question' || document.fault === 'settings');
}

function halves(group: Group): Group[] {
  const middle = Math.ceil(group.rows.length / 2);
  return [group.rows.slice(0, middle), group.rows.slice(middle)].map((rows) => ({ ...group, rows }));
}
