/** A job, or an id for it, that breaks the contract: it was not enqueued. The message says what was expected and found. */
export class JobRefusedError extends TypeError {
  override readonly name = 'JobRefusedError';
}

/** An id that stands for another job. */
export class JobConflictError extends TypeError {
  override readonly name = 'JobConflictError';
}

/** There is no job of that id, and no result: results are kept for a limited time. */
export class UnknownJobError extends RangeError {
  override readonly name = 'UnknownJobError';
}
