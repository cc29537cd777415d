import { z } from 'zod';
import { RedisUnavailableError } from '../../../queues/connection.js';
import { JobConflictError, JobRefusedError, UnknownJobError } from '../../../queues/errors.js';
import { describeFaults } from '../../../queues/faults.js';
import { messageOf } from '../../format.js';

/** A request that cannot be met, with the status that says so. */
export class Problem extends Error {
  override readonly name = 'Problem';
  constructor(
    readonly status: 400 | 403 | 404 | 405 | 409 | 416 | 503,
    message: string,
  ) {
    super(message);
  }
}

export function noJob(id: string): Problem {
  return new Problem(404, `no job has the id ${JSON.stringify(id)}`);
}

/** The status and the sentence of whatever went wrong. */
export function problemOf(error: unknown): { readonly status: number; readonly error: string } {
  if (error instanceof Problem) return { status: error.status, error: error.message };
  if (error instanceof z.ZodError) return { status: 400, error: describeFaults(error) };
  if (error instanceof JobRefusedError) return { status: 400, error: error.message };
  if (error instanceof JobConflictError) return { status: 409, error: error.message };
  if (error instanceof UnknownJobError) return { status: 404, error: error.message };
  if (error instanceof RedisUnavailableError) return { status: 503, error: error.message };
  // Express' own: a body that is no JSON, or too large; a path that cannot be decoded.
  const { status } = (error ?? {}) as { status?: unknown };
  if (typeof status === 'number' && status >= 400 && status < 500) return { status, error: messageOf(error) };
  return { status: 500, error: `the dashboard failed: ${messageOf(error)}` };
}
