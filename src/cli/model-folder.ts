import { constants, existsSync, statSync } from 'node:fs';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidArgumentError, Option } from 'commander';
import { InputError } from '../errors.js';
import { type DtypeWish, dtypes, parseDtypes } from '../models/layout.js';
import { withLock } from '../workers/lock.js';

/** What the commands about a model's folder have in common. */

const LOCK_WAIT_MS = 1000;

export const dtypeOption = () =>
  new Option(
    '--dtype <types>',
    `type of the weights: one of ${dtypes.join(', ')}, and the nearest for parts that are not there in it; or one for each part, such as ` +
      'vision=fp16,embed=fp16,decoder=q4 (default: what the makers of the family recommend, else the first there is)',
  ).argParser(dtypeArgument);

function dtypeArgument(text: string): DtypeWish {
  try {
    return parseDtypes(text);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

/** Two processes that write into one folder would spoil each other's files. */
export async function alone<T>(dir: string, work: () => Promise<T>): Promise<T> {
  if (!existsSync(dir)) return work();
  await access(dir, constants.W_OK).catch((cause: NodeJS.ErrnoException) => {
    throw new InputError(`${dir} must be a folder that can be written to: ${cause.code}`, { cause });
  });
  if (!statSync(dir).isDirectory()) throw new InputError(`${dir} must be a folder, it is a file`);
  return withLock(join(dir, '.visionzip.lock'), LOCK_WAIT_MS, work);
}

/** Lines of a name and what there is to say of it, one below the other. */
export function tellRows(rows: readonly (readonly [name: string, what: string])[]): string {
  return rows.map(([name, what]) => `${name.padEnd(11)}${what}\n`).join('');
}

export function mib(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(bytes < 10 * 2 ** 20 ? 1 : 0);
}
