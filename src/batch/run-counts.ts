import type { RunRecord } from '../../queues/runs.js';
import { errorClassOf } from './error-class.js';
import type { RowOutcome } from './line.js';
import { parseJson, valueText } from './members.js';
import { defaultFields } from './report/answered-row.js';
import { Groups, Score } from './report/tallies.js';
import type { Row } from './rows.js';

type Failure = RunRecord['failures'][number];

/** How many kinds of failures and of rows a record holds, and how long its texts are: it is written every few seconds. */
const mostFailures = 20;
const mostKinds = 100;
const longestText = 400;

/** Counts for a run's record what failed, and what was right of which kind. */
export class RunCounts {
  readonly #all = new Score();
  readonly #byKind = new Groups(() => new Score());
  readonly #failures = new Groups<{ failure?: Failure }>(() => ({}));

  /** @param isRight null where nothing says what is right */
  add(row: Row, outcome: RowOutcome, isRight: boolean | null): void {
    if (outcome.status === 'failed') this.#addFailure(row, outcome);
    if (isRight === null) return;
    this.#all.add(isRight);
    const kind = kindOf(row);
    if (kind !== null) this.#byKind.of(kind).add(isRight);
  }

  snapshot(): Pick<RunRecord, 'failures' | 'accuracy' | 'accuracyByKind'> {
    const kinds = this.#byKind.entries().map(([kind, score]) => ({ kind, ...shown(score) }));
    const failures = this.#failures.entries().flatMap(([, { failure }]) => failure ?? []);
    return {
      accuracy: shown(this.#all),
      accuracyByKind: kinds.sort((a, b) => b.count - a.count).slice(0, mostKinds),
      failures: failures.sort((a, b) => b.count - a.count).slice(0, mostFailures),
    };
  }

  #addFailure(row: Row, { fault = 'internal', error = '' }: RowOutcome): void {
    const message = errorClassOf(error);
    const group = this.#failures.of(JSON.stringify([fault, message]));
    const example = { row: row.index + 1, video: cut(row.given?.video ?? ''), error: cut(error) };
    group.failure ??= { fault, message, count: 0, example };
    group.failure.count += 1;
  }
}

function shown({ right, count }: Score): RunRecord['accuracy'] {
  return { right, count };
}

/** As the report has it, and where a row has no kind its category. */
function kindOf({ members, given }: Row): string | null {
  const texts = defaultFields.kind.map((name) => valueText(members, name));
  const values = texts.map((text) => (text === undefined ? null : parseJson(text)));
  const kind = values.find((value) => ['string', 'number', 'boolean'].includes(typeof value));
  return kind === undefined ? (given?.category ?? null) : cut(String(kind));
}

function cut(text: string): string {
  return text.length <= longestText ? text : `${text.slice(0, longestText - 1)}…`;
}
