import { InputError } from '../../errors.js';
import { readLines } from '../lines.js';

/** A line of a JSONL file, from 1, and its object; null where it holds none. */
export interface JsonLine {
  readonly line: number;
  readonly fields: Readonly<Record<string, unknown>> | null;
}

/**
 * Reads a JSONL file line by line, in memory for one chunk and one line. Lines end with a line feed and with nothing else: JSON may
 * hold the other separators of Unicode, at which Node's `readline` would tear it.
 *
 * @throws InputError where the file cannot be read.
 */
export async function* readJsonLines(file: string): AsyncGenerator<JsonLine> {
  let line = 0;
  try {
    for await (const { text } of readLines(file)) {
      line += 1;
      if (text.trim() !== '')
        yield { line, fields: parseObject(line === 1 ? text.replace(/^\uFEFF/, '') : text) };
    }
  } catch (cause) {
    if (!(cause instanceof Error && 'syscall' in cause)) throw cause;
    throw new InputError(`cannot read the answers: ${cause.message}`, { cause, fault: 'settings' });
  }
}

function parseObject(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && !Array.isArray(value) ? (value as JsonLine['fields']) : null;
  } catch {
    return null;
  }
}
