import { pipeline, Readable } from 'node:stream';
import { settingsError } from '../errors.js';
import type { SourceRow } from './index.js';
import { readUtf8 } from './utf8.js';

/** The records of a CSV or TSV file, whose first one names the columns. All values are text, as they stand there. */
export async function* readSeparated(file: string, delimiter: ',' | '\t'): AsyncGenerator<SourceRow> {
  const { parse } = await import('csv-parse');
  const parser = parse({
    delimiter,
    bom: true,
    skip_empty_lines: true,
    relax_column_count: true,
    relax_quotes: delimiter === '\t',
  });
  pipeline(Readable.from(readUtf8(file)), parser, () => {}); // An error ends the loop below.
  let names: readonly string[] | null = null;
  for await (const record of parser as AsyncIterable<string[]>) {
    if (names) yield rowOf(names, record);
    else names = checkNames(file, record);
  }
}

function checkNames(file: string, names: readonly string[]): readonly string[] {
  const trimmed = names.map((name) => name.trim());
  const nameless = trimmed.indexOf('');
  // What pandas writes for its index, in front of all others.
  if (nameless > 0) throw settingsError(`${file}: column ${nameless + 1} has no name in the first line`);
  const twin = trimmed.find((name, i) => trimmed.indexOf(name) < i);
  if (twin !== undefined) throw settingsError(`${file}: two columns are named ${JSON.stringify(twin)}`);
  return trimmed.map((name) => JSON.stringify(name));
}

function rowOf(names: readonly string[], values: readonly string[]): SourceRow {
  if (values.length !== names.length) {
    const error = `expected ${names.length} values as in the first line, got ${values.length}`;
    return { text: JSON.stringify(values), error };
  }
  return { text: `{${names.map((name, i) => `${name}:${JSON.stringify(values[i])}`).join(',')}}` };
}
