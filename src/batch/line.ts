import type { ResultDocument } from '../../queues/schemas.js';
import { nameQuestion } from '../pipeline/questions.js';
import type { Question } from '../pipeline/types.js';
import type { RowFault } from './layout.js';
import { valueText } from './members.js';
import type { Row, RowKey } from './rows.js';

/** How a row ended. */
export interface RowOutcome {
  readonly status: ResultDocument['status'];
  /** The answer, null where there is none. */
  readonly prediction: string | null;
  readonly error?: string;
  /** Whose fault it is: of what the job says, or of the row itself. */
  readonly fault?: RowFault;
  /** What the job was and what it took; absent for a row that was not asked. */
  readonly run?: object;
}

const none = { status: 'failed', prediction: null } as const;

/** What a document says of one question of its job. */
export function outcomeOf(document: ResultDocument, question: Question): RowOutcome {
  const { id: job, status } = document;
  if (document.status !== 'completed')
    return {
      status,
      prediction: null,
      error: document.error,
      fault: document.fault ?? undefined,
      run: { job },
    };
  const name = nameQuestion(question);
  const answer = document.answers.find((candidate) => nameQuestion(candidate) === name);
  if (!answer) return { ...none, error: 'the result has no answer to this question', fault: 'internal' };
  const { answer: prediction, question: _, ...own } = answer;
  const { model, plan, tokens, timings, video, frames } = document;
  const ptsSeconds = frames.map((frame) => Math.round(1000 * frame.ptsSeconds) / 1000);
  const warnings = video.warnings.length > 0 ? { warnings: video.warnings } : {};
  return {
    status,
    prediction,
    run: { job, model, frames: plan.frames, ptsSeconds, tokens, ...own, timings, ...warnings },
  };
}

/** A row of the output: the row's own fields as they were written, and ours, which replace those of the same name. */
export function lineOf(row: Row, outcome: RowOutcome, settings: string): string {
  const { prediction, status, error, fault, run } = outcome;
  const { options, answer, category } = row.given ?? {};
  const batch = { row: row.index, hash: row.hash, settings, ...renamed(row), options, answer, category };
  const ours = Object.entries({ prediction, status, error, fault, run, batch }).filter(
    ([, value]) => value !== undefined,
  );
  const names = new Set(ours.map(([name]) => name));
  const theirs = row.members.filter(({ name }) => !names.has(name)).map(({ text }) => text);
  const own = ours.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
  return `{${[...theirs, ...own].join(',')}}\n`;
}

/** Video and question where the row's fields of these names do not say the same. */
function renamed({ given, members }: Row): Partial<Pick<RowKey, 'video' | 'question'>> {
  const { video, question } = given ?? {};
  const fields = Object.entries({ video, question });
  return Object.fromEntries(
    fields.filter(([name, text]) => valueText(members, name) !== JSON.stringify(text)),
  );
}
