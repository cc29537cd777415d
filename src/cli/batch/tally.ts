import type { SingleBar } from 'cli-progress';
import { formatMs, plural } from '../format.js';
import { startBar } from '../progress.js';
import type { RowOutcome } from './output.js';

/** Counts the rows of a batch, with a bar on a terminal and a closing line on standard error. */
export class Tally {
  completed = 0;
  failed = 0;
  readonly #rows: number;
  readonly #skipped: number;
  #bar: SingleBar | null = null;
  #startedAt = 0;

  /** @param skipped rows that were in the output already */
  constructor(rows: number, skipped: number) {
    this.#rows = rows;
    this.#skipped = skipped;
  }

  begin(): void {
    this.#startedAt = performance.now();
    if (process.stderr.isTTY && this.#skipped < this.#rows) this.#bar = startBar(this.#rows);
    this.#draw();
  }

  add(outcome: RowOutcome): void {
    if (outcome.status === 'completed') this.completed++;
    else this.failed++;
    this.#draw();
  }

  end(): void {
    this.#bar?.stop();
    const { completed, failed, skipped, waiting } = this.counts();
    const parts = [`${completed} answered`, `${failed} failed`];
    if (skipped > 0) parts.push(`${skipped} there before`);
    if (waiting > 0) parts.push(`${waiting} not reached`);
    const spent = formatMs(performance.now() - this.#startedAt);
    process.stderr.write(`${plural(this.#rows, 'row')}: ${parts.join(', ')} in ${spent}\n`);
  }

  /** `skipped` were there before, `waiting` were not reached. */
  counts() {
    const { completed, failed } = this;
    const waiting = this.#rows - this.#skipped - completed - failed;
    return { rows: this.#rows, skipped: this.#skipped, completed, failed, waiting };
  }

  #draw(): void {
    const done = this.#skipped + this.completed + this.failed;
    const failed = this.failed > 0 ? `, ${this.failed} failed` : '';
    this.#bar?.update(done, { label: `${done}/${this.#rows} rows${failed}` });
  }
}
