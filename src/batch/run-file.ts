import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { parseJson } from './members.js';
import { replaceFile } from './tidy.js';

/** What is kept beside an output, in `<output>.run.json`. */
const runSchema = z.looseObject({ run: z.string(), startedAt: z.string() });

/** A run's id: letters, digits, ". _ -", since it travels as a tag of its jobs. */
export const runIdRule = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/**
 * The id of the run that makes an output: the given one, else the one by which it was begun, else a new one.
 *
 * @param isNew whether the output holds nothing yet, so that what lies beside it is of another one
 */
export async function keepRunId(out: string, given: string | undefined, isNew: boolean): Promise<string> {
  const path = `${out}.run.json`;
  const text = await readFile(path, 'utf8').catch(() => '');
  const kept = isNew ? null : (runSchema.safeParse(parseJson(text)).data ?? null);
  if (kept && (given ?? kept.run) === kept.run) return kept.run;
  const run = given ?? newRunId();
  const fresh = { run, startedAt: new Date().toISOString() };
  await replaceFile(path, async (file) => file.writeFile(`${JSON.stringify(fresh)}\n`));
  return run;
}

export function newRunId(): string {
  return randomUUID().slice(0, 8);
}
