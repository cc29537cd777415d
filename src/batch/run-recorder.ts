import { EventEmitter, once } from 'node:events';
import type { RunControl, RunRecord, RunState } from '../../queues/runs.js';
import type { RunCounts } from './run-counts.js';
import type { Tally } from './tally.js';

/** How long it is from one record to the next, in milliseconds. */
const everyMs = 2_000;

export interface RunRecorderParts {
  /** What does not change from one record to the next. */
  readonly about: Pick<
    RunRecord,
    'id' | 'name' | 'questions' | 'out' | 'host' | 'pid' | 'model' | 'settings' | 'tags'
  >;
  readonly tally: Tally;
  readonly counts: RunCounts;
  /** Keeps a record, and says what the run is asked to do. It may fail: the run goes on. */
  report(record: RunRecord): Promise<RunControl | null>;
  /** Forgets what the run was asked to do. */
  forget(): Promise<unknown>;
  /** Called once where the run is asked to stop. */
  onStop(): void;
}

/** Keeps the record of a run while it goes on, and does what the run is asked to do. */
export class RunRecorder {
  readonly #parts: RunRecorderParts;
  readonly #startedAt = new Date().toISOString();
  readonly #changes = new EventEmitter();
  #state: RunState = 'running';
  #timer: NodeJS.Timeout | undefined;
  /** One record is written at a time. */
  #written: Promise<void> = Promise.resolve();

  constructor(parts: RunRecorderParts) {
    this.#parts = parts;
  }

  /** What was asked of a process before, of the same run, is not asked of this one. */
  async begin(): Promise<void> {
    await this.#parts.forget().catch(() => {}); // Without Redis nobody can ask for anything.
    await this.#write();
    this.#goOn();
  }

  /** Resolves once further rows may be taken, with false where no more shall be. Throws when aborted meanwhile. */
  async mayGoOn(signal: AbortSignal): Promise<boolean> {
    while (this.#state === 'paused') await once(this.#changes, 'change', { signal });
    return this.#state !== 'draining';
  }

  /** Writes the last record. */
  async end(state: 'done' | 'stopped'): Promise<void> {
    clearTimeout(this.#timer);
    await this.#written;
    this.#state = state;
    if (await this.#write()) await this.#parts.forget().catch(() => {}); // It expires.
  }

  #goOn(): void {
    this.#timer = setTimeout(() => {
      this.#written = this.#write().then(() => {
        if (this.#state !== 'done' && this.#state !== 'stopped') this.#goOn();
      });
    }, everyMs);
  }

  /** Whether it could be written. Where Redis is away, or full, what was asked before holds, and the next record may be kept. */
  async #write(): Promise<boolean> {
    try {
      this.#obey(await this.#parts.report(this.#record()));
      return true;
    } catch {
      return false;
    }
  }

  #obey(control: RunControl | null): void {
    if (this.#state === 'done' || this.#state === 'stopped') return;
    if (control === 'stop') this.#parts.onStop();
    if (control === 'drain') this.#enter('draining');
    if (this.#state !== 'draining') this.#enter(control === 'pause' ? 'paused' : 'running');
  }

  #enter(state: 'running' | 'paused' | 'draining'): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#parts.tally.enter(state);
    this.#changes.emit('change');
  }

  #record(): RunRecord {
    const { about, tally, counts } = this.#parts;
    const { rows, skipped, completed, failed, failures } = tally.counts();
    const { cancelled = 0 } = failures;
    return {
      ...{ ...about, state: this.#state, startedAt: this.#startedAt, updatedAt: new Date().toISOString() },
      ...{ total: rows, done: skipped + completed, doneBefore: skipped },
      ...{ failed: failed - cancelled, cancelled },
      ...counts.snapshot(),
      ...tally.pace(),
    };
  }
}
