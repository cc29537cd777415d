import type { FaultKind } from './schemas.js';

/** A job, or an id for it, that breaks the contract: it was not enqueued. The message says what was expected and found. */
export class JobRefusedError extends TypeError {
  override readonly name = 'JobRefusedError';
  constructor(
    message: string,
    /** Which part of the job was refused first. */
    readonly fault: FaultKind,
  ) {
    super(message);
  }
}

/** An id that stands for another job. */
export class JobConflictError extends TypeError {
  override readonly name = 'JobConflictError';
  readonly fault: FaultKind = 'settings';
}

/** There is no job of that id, and no result: results are kept for a limited time. */
export class UnknownJobError extends RangeError {
  override readonly name = 'UnknownJobError';
}
