import { z } from 'zod';
import { faultSchema } from './schemas.js';
import { tolerant } from './tolerant.js';

/*
 * Attempts at a job that came to nothing, a line each in BullMQ's log of the job. One whose worker died leaves none: then a number
 * is missing. The attempt that answered the job is in its document.
 */

export const attemptSchema = z.strictObject({
  /** From 1. */
  attempt: z.int(),
  /** Name of the worker. */
  worker: z.string(),
  startedAt: z.iso.datetime(),
  endedAt: z.iso.datetime(),
  /** One sentence: why it ended. */
  reason: z.string(),
  /** `shutdown`: the job was put back; else as in the job's document, and whether it was stopped. */
  kind: z.enum([...faultSchema.options, 'cancelled', 'deadline', 'shutdown']),
});

export type Attempt = Readonly<z.infer<typeof attemptSchema>>;

const readable = tolerant(attemptSchema);

/** The attempts among the lines of a job's log, in their order: of other versions, too; what cannot be read is left out. */
export function readAttempts(logs: readonly string[]): Attempt[] {
  return logs.flatMap((line) => {
    try {
      return [readable.parse(JSON.parse(line)) as Attempt];
    } catch {
      return [];
    }
  });
}
