import type { AskJob, ResultDocument } from '../../queues/schemas.js';
import { messageOf } from '../format.js';
import { nameQuestion } from '../pipeline/questions.js';
import type { Question } from '../pipeline/types.js';
import type { BuildJob, JobSettings } from './job.js';
import { outcomeOf, type RowOutcome } from './line.js';
import type { Row, RowAsk } from './rows.js';
import { type Group, Window } from './window.js';

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
  /** Rows to answer, in the order of the input. They are read as room for them comes. */
  readonly rows: AsyncIterable<Row> | Iterable<Row>;
  readonly settings: JobSettings;
  readonly build: BuildJob;
  readonly ask: Ask;
  /** Jobs under way at once. */
  readonly inFlight: number;
  readonly signal: AbortSignal;
  /** The path of a row's video, where rows only name it; throws an error for the row. */
  locate?(name: string): Promise<string>;
  /** Waited for before a job is begun; false where no more shall be. Rejects when aborted meanwhile. */
  mayGoOn?(signal: AbortSignal): Promise<boolean>;
  /** Called once for each row, as it finishes. */
  onRow(row: Row, outcome: RowOutcome): Promise<void>;
  /** Called with the document of each job. */
  onDocument?(job: AskJob, document: ResultDocument): void;
}

/** Answers every row; a row that fails is an outcome, not an exception. Returns how many jobs were asked. */
export async function runBatch(run: BatchRun): Promise<{ jobs: number }> {
  const stop = new AbortController();
  const signal = AbortSignal.any([run.signal, stop.signal]);
  const groups = new Groups(run, signal);
  let jobs = 0;
  const lane = async () => {
    for (let group = await groups.next(); group; group = await groups.next()) {
      signal.throwIfAborted();
      jobs++;
      groups.putBack(await answerGroup(group, run, signal));
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

/** What is asked next, read from the rows as far as the window reaches. */
class Groups {
  readonly #run: BatchRun;
  readonly #signal: AbortSignal;
  readonly #rows: AsyncIterator<Row> | Iterator<Row>;
  readonly #window = new Window();
  readonly #returned: Group[] = [];
  #isAtEnd = false;
  /** One lane at a time reads. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(run: BatchRun, signal: AbortSignal) {
    this.#run = run;
    this.#signal = signal;
    this.#rows =
      Symbol.asyncIterator in run.rows ? run.rows[Symbol.asyncIterator]() : run.rows[Symbol.iterator]();
  }

  next(): Promise<Group | undefined> {
    const next = this.#turn.then(() => this.#next());
    this.#turn = next.catch(() => {}); // Told to the lane that read.
    return next;
  }

  /** What has to be asked again, in smaller groups. */
  putBack(groups: readonly Group[]): void {
    this.#returned.unshift(...groups);
  }

  async #next(): Promise<Group | undefined> {
    const { mayGoOn } = this.#run;
    if (mayGoOn && !(await mayGoOn(this.#signal))) return undefined;
    const returned = this.#returned.shift();
    if (returned) return returned;
    while (!this.#isAtEnd && !this.#window.isFull) {
      this.#signal.throwIfAborted();
      const { value: row, done } = await this.#rows.next();
      if (done) this.#isAtEnd = true;
      else await this.#take(row);
    }
    return this.#window.take();
  }

  async #take(row: Row): Promise<void> {
    try {
      if (row.error !== undefined) throw new RangeError(row.error);
      const sound = await located(row, this.#run);
      build(sound.ask!, [sound.ask!.question], this.#run); // What the contract has against it, such as a start behind its end.
      this.#window.add(sound);
    } catch (error) {
      await this.#run.onRow(row, {
        status: 'failed',
        prediction: null,
        error: messageOf(error),
        fault: 'row',
      });
    }
  }
}

async function located(row: Row, { locate }: BatchRun): Promise<Row> {
  if (!locate) return row;
  return { ...row, ask: { ...row.ask!, video: await locate(row.ask!.video) } };
}

function build(
  { video, range, frames }: Pick<RowAsk, 'video' | 'range' | 'frames'>,
  questions: Question[],
  run: BatchRun,
): AskJob {
  const sampling = { ...run.settings.sampling, ...range, ...(frames && { frames }) };
  return run.build(video, questions, { ...run.settings, sampling });
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
    const answered = new Set(document.answers.map(nameQuestion));
    const rows = group.rows.filter((row) => answered.has(nameQuestion(row.ask!.question)));
    written = written.then(() => write(rows, document));
    written.catch(() => {}); // Told below, where it is awaited.
  };
  const byName = new Map(group.rows.map(({ ask }) => [nameQuestion(ask!.question), ask!.question]));
  const questions = [...byName.values()];
  const job = build(group, questions, run);
  const document = await run.ask(job, signal, onAnswer).finally(() => written);
  run.onDocument?.(job, document);
  const left = new Set([...waiting].map((row) => nameQuestion(row.ask!.question)));
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
