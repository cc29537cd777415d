import { formatMs, plural } from '../format.js';
import type { RowOutcome } from './line.js';

/** How far apart the lines are that tell of progress where there is no terminal, in milliseconds. */
const lineMs = 60_000;

/** What is said in front of the progress. */
const stateWords = {
  running: [],
  paused: ['paused: no more rows are taken for now'],
  draining: ['draining: no more rows are taken'],
} as const;

/** A bar on a terminal. */
export interface Bar {
  update(done: number, payload: { readonly label: string }): void;
  stop(): void;
}

export interface TallyOptions {
  /** Draws a bar of so many rows, where standard error is a terminal; without, lines tell there, too. */
  startBar?(rows: number): Bar;
  /** Where lines go, and whether it is a terminal; default standard error. */
  readonly stderr?: Pick<NodeJS.WriteStream, 'write' | 'isTTY'>;
  /** Milliseconds that only grow. */
  now?(): number;
}

/** Counts the rows of a batch, with a bar on a terminal, else a line now and then, and a closing line. */
export class Tally {
  completed = 0;
  readonly #failures = new Map<string, number>();
  #right = 0;
  #judged = 0;
  readonly #rows: number;
  readonly #skipped: number;
  readonly #stderr: Pick<NodeJS.WriteStream, 'write' | 'isTTY'>;
  readonly #now: () => number;
  readonly #startBar: ((rows: number) => Bar) | undefined;
  #bar: Bar | null = null;
  #startedAt = 0;
  #toldAt = 0;
  #state: 'running' | 'paused' | 'draining' = 'running';
  #pausedAt = 0;
  #pausedMs = 0;

  /** @param skipped rows that were in the output already */
  constructor(rows: number, skipped: number, options: TallyOptions = {}) {
    this.#rows = rows;
    this.#skipped = skipped;
    this.#stderr = options.stderr ?? process.stderr;
    this.#startBar = options.startBar;
    this.#now = options.now ?? (() => performance.now());
  }

  get failed(): number {
    return [...this.#failures.values()].reduce((sum, count) => sum + count, 0);
  }

  begin(): void {
    this.#startedAt = this.#now();
    this.#toldAt = this.#startedAt;
    if (this.#stderr.isTTY && this.#skipped < this.#rows) this.#bar = this.#startBar?.(this.#rows) ?? null;
    this.#tell();
  }

  /** @param isRight null where nothing says what is right */
  add({ status, fault }: Pick<RowOutcome, 'status' | 'fault'>, isRight: boolean | null = null): void {
    if (status === 'completed') this.completed++;
    else {
      const kind = fault ?? status;
      this.#failures.set(kind, (this.#failures.get(kind) ?? 0) + 1);
    }
    if (isRight !== null) this.#judged++;
    if (isRight) this.#right++;
    this.#tell();
  }

  /** Says at once that no more rows are taken, for now or at all, or that they are taken again. */
  enter(state: 'running' | 'paused' | 'draining'): void {
    if (this.#state === 'paused') this.#pausedMs += this.#now() - this.#pausedAt;
    if (state === 'paused') this.#pausedAt = this.#now();
    this.#state = state;
    if (this.#bar) this.#tell();
    else this.#tellLine();
  }

  /** Of the rows that were finished, pauses left out; null before the first, and for the time left of one that drains. */
  pace(): { readonly rowsPerMinute: number | null; readonly secondsLeft: number | null } {
    const finished = this.completed + this.failed;
    const ms = this.#activeMs();
    if (finished === 0 || ms <= 0) return { rowsPerMinute: null, secondsLeft: null };
    const secondsLeft = (this.counts().waiting * ms) / finished / 1000;
    return {
      rowsPerMinute: (finished * 60_000) / ms,
      secondsLeft: this.#state === 'draining' ? null : secondsLeft,
    };
  }

  end(): void {
    this.#bar?.stop();
    const { completed, skipped, waiting } = this.counts();
    const parts = [`${completed} answered`, this.#describeFailures()];
    if (skipped > 0) parts.push(`${skipped} there before`);
    if (waiting > 0) parts.push(`${waiting} not reached`);
    if (this.#judged > 0) parts.push(this.#describeAccuracy());
    const spent = formatMs(this.#now() - this.#startedAt);
    this.#stderr.write(`${plural(this.#rows, 'row')}: ${parts.join(', ')} in ${spent}\n`);
  }

  /** `skipped` were there before, `waiting` were not reached. */
  counts() {
    const { completed, failed } = this;
    const waiting = this.#rows - this.#skipped - completed - failed;
    const failures = Object.fromEntries(this.#failures);
    const accuracy = this.#judged === 0 ? null : this.#right / this.#judged;
    return { rows: this.#rows, skipped: this.#skipped, completed, failed, failures, waiting, accuracy };
  }

  #tell(): void {
    const { waiting } = this.counts();
    this.#bar?.update(this.#rows - waiting, { label: this.#describe() });
    if (!this.#bar && this.#now() - this.#toldAt >= lineMs && waiting > 0) this.#tellLine();
  }

  #tellLine(): void {
    this.#toldAt = this.#now();
    this.#stderr.write(`${this.#describe()}\n`);
  }

  #activeMs(): number {
    const pauseMs = this.#state === 'paused' ? this.#now() - this.#pausedAt : 0;
    return this.#now() - this.#startedAt - this.#pausedMs - pauseMs;
  }

  /** "12/100 rows, 1 failed (1 video), 75.0 % right, 0.5 a second, about 2 min 56 s left". */
  #describe(): string {
    const { failed, waiting } = this.counts();
    const parts = [`${this.#rows - waiting}/${this.#rows} rows`];
    if (failed > 0) parts.push(this.#describeFailures());
    if (this.#judged > 0) parts.push(this.#describeAccuracy());
    const { rowsPerMinute, secondsLeft } = this.pace();
    if (rowsPerMinute !== null) {
      const rate = rowsPerMinute / 60;
      parts.push(`${rate >= 10 ? String(Math.round(rate)) : rate.toPrecision(2)} a second`);
    }
    if (secondsLeft !== null) parts.push(`about ${formatMs(secondsLeft * 1000)} left`);
    return [...stateWords[this.#state], ...parts].join(', ');
  }

  /** "3 failed (2 video, 1 row)". */
  #describeFailures(): string {
    const kinds = [...this.#failures].map(([kind, count]) => `${count} ${kind}`);
    return `${this.failed} failed${kinds.length > 0 ? ` (${kinds.join(', ')})` : ''}`;
  }

  /** Of the rows that this run answered and that say what is right. */
  #describeAccuracy(): string {
    return `${((100 * this.#right) / this.#judged).toFixed(1)} % right`;
  }
}
