import { extname } from 'node:path';
import { InputError } from '../../errors.js';
import { settingsError } from '../errors.js';
import { readArray } from './json.js';
import { readJsonl } from './jsonl.js';
import { readParquet } from './parquet.js';
import { refuseOthers } from './recognise.js';
import { readSeparated } from './separated.js';

/** A row as it stands in the file, whatever the file's format. */
export interface SourceRow {
  /** Its JSON on one line, or what stands there instead. */
  readonly text: string;
  /** What is wrong with it, where the format itself says so. */
  readonly error?: string;
}

const readers = {
  jsonl: readJsonl,
  json: readArray,
  csv: (file: string) => readSeparated(file, ','),
  tsv: (file: string) => readSeparated(file, '\t'),
  parquet: readParquet,
} satisfies Record<string, (file: string) => AsyncIterable<SourceRow>>;

export type Format = keyof typeof readers;
export const formats = Object.keys(readers) as Format[];

const endings: Readonly<Record<string, Format>> = {
  '.json': 'json',
  '.csv': 'csv',
  '.tsv': 'tsv',
  '.tab': 'tsv',
  '.parquet': 'parquet',
  '.pq': 'parquet',
};

/** The format that the end of a file's name says; JSONL for any other name, and for standard input. */
export function formatOf(file: string): Format {
  return endings[extname(file).toLowerCase()] ?? 'jsonl';
}

/** A file of rows that can be read from its start as often as needed. */
export interface RowFile {
  readonly file: string;
  readonly format: Format;
  /** The rows in their order, blank lines left out. Memory does not grow with the file. */
  rows(): AsyncIterable<SourceRow>;
}

/** Throws one error, and reads no row, where the file holds something else than its format says. */
export async function openRows(file: string, format: Format = formatOf(file)): Promise<RowFile> {
  await refuseOthers(file, format);
  return { file, format, rows: () => named(file, readers[format](file)) };
}

/** Errors of a library become sentences that name the file. */
async function* named(file: string, rows: AsyncIterable<SourceRow>): AsyncGenerator<SourceRow> {
  try {
    yield* rows;
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw settingsError(`cannot read the rows of ${file}: ${(error as Error).message}`);
  }
}
