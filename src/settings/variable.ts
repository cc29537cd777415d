import { z } from 'zod';

/** A variable of the environment: what it may be, what it means, and what stands where it is unset. */
export interface Variable<T> {
  readonly schema: z.ZodType<T, string>;
  readonly meaning: string;
  /** As the documentation has it, where it is not simply `fallback`. */
  readonly shown?: string;
  readonly fallback: T;
}

export function variable<T>(
  schema: z.ZodType<T, string>,
  fallback: T,
  meaning: string,
  shown?: string,
): Variable<T> {
  return { schema, fallback, meaning, shown };
}

export function whole(least: number, most = Number.MAX_SAFE_INTEGER) {
  const range = most === Number.MAX_SAFE_INTEGER ? `from ${least} up` : `from ${least} to ${most}`;
  const expected = `expected a whole number ${range}`;
  return z
    .string()
    .regex(/^\d{1,16}$/, expected)
    .transform(Number)
    .refine((value) => value >= least && value <= most, expected);
}

/** setTimeout's largest delay. */
export const ms = whole(1, 2 ** 31 - 1);
