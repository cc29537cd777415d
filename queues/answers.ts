import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { progressSchema, type Result, resultSchema } from './schemas.js';
import { tolerant } from './tolerant.js';

/*
 * Answers of a job under way travel in BullMQ's progress events, of which it keeps 10,000. Most of a document is the same for all
 * answers of a job, its frames above all: so one answer comes in a whole document (`answered`), and of the next ones comes what is their
 * own (`further`). Readers of older versions pass over those, and find them in the document of the finished job.
 */

const { answers, timings, finishedAt } = resultSchema.shape;
const furtherSchema = z.strictObject({ answers, timings, finishedAt });

/** A job's progress as workers tell it. */
export const toldProgressSchema = progressSchema.extend({ further: furtherSchema.optional() });
export type ToldProgress = z.infer<typeof toldProgressSchema>;
/** How one answer is told. */
export type ToldAnswer = Pick<ToldProgress, 'answered' | 'further'>;

const readable = tolerant(toldProgressSchema);

/** Of other versions, too; null for what no worker told. */
export function readTold(data: unknown): ToldProgress | null {
  const parsed = readable.safeParse(data);
  return parsed.success ? (parsed.data as ToldProgress) : null;
}

/** Shortens the answers of one attempt, in the order in which they are told. */
export class AnswerShortener {
  #whole: Result | null = null;

  /** @param document with one answer alone */
  shorten(document: Result): ToldAnswer {
    const { answers, timings, finishedAt } = document;
    const further = { answers, timings, finishedAt };
    if (this.#whole && isDeepStrictEqual({ ...this.#whole, ...further }, document)) return { further };
    this.#whole = document;
    return { answered: document };
  }
}

/** Makes documents of what `AnswerShortener` gave, for one who listens to a job. */
export class AnswerReader {
  #whole: Result | null = null;

  /** Null where no answer is told, and where none in a whole document was heard before. */
  read({ answered, further }: ToldAnswer): Result | null {
    if (answered) this.#whole = answered;
    if (answered || !further || !this.#whole) return answered ?? null;
    return { ...this.#whole, ...further };
  }
}
