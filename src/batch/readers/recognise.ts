import { type FileHandle, open } from 'node:fs/promises';
import { messageOf } from '../../format.js';
import { settingsError } from '../errors.js';
import { isObject, parseJson } from '../members.js';
import type { Format } from './index.js';

/** How files begin that are no text. */
const signatures: readonly (readonly [bytes: string, what: string])[] = [
  ['PAR1', 'a Parquet file'],
  ['ARROW1', 'an Arrow file'],
  ['\x1f\x8b', 'a gzip file'],
  ['\x28\xb5\x2f\xfd', 'a Zstandard file'],
  ['PK\x03\x04', 'a ZIP or Excel file'],
  ['SQLite format 3', 'an SQLite database'],
  ['\xff\xfe', 'text in UTF-16'],
  ['\xfe\xff', 'text in UTF-16'],
];

const expected: Readonly<Record<Format, string>> = {
  jsonl: 'a JSONL file, one JSON object a line',
  json: 'a JSON file',
  csv: 'a CSV file',
  tsv: 'a TSV file',
  parquet: 'a Parquet file',
};

/** How much of a file is looked at, in bytes. */
const headBytes = 1024 * 1024;

/** Throws one error, and reads no row, for a file that holds something else than rows of the format. */
export async function refuseOthers(file: string, format: Format): Promise<void> {
  const { bytes, isWhole } = await readHead(file);
  const other = recogniseBytes(bytes, format) ?? (format === 'jsonl' ? recogniseText(bytes, isWhole) : null);
  if (other === null) return;
  const hint = formatHints.find(([what]) => other.includes(what))?.[1];
  throw settingsError(
    `expected ${expected[format]}; ${file} is ${other}${hint ? `; give --format ${hint}` : ''}`,
  );
}

const formatHints: readonly (readonly [what: string, format: Format])[] = [
  ['a Parquet file', 'parquet'],
  ['a JSON array', 'json'],
  ['over several lines', 'json'],
  ['probably CSV', 'csv'],
  ['probably TSV', 'tsv'],
];

async function readHead(file: string): Promise<{ bytes: Buffer; isWhole: boolean }> {
  let handle: FileHandle | null = null;
  try {
    handle = await open(file);
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(headBytes), 0, headBytes, 0);
    return { bytes: buffer.subarray(0, bytesRead), isWhole: bytesRead < headBytes };
  } catch (error) {
    throw settingsError(`cannot read the rows: ${messageOf(error)}`);
  } finally {
    await handle?.close();
  }
}

function recogniseBytes(bytes: Buffer, format: Format): string | null {
  const head = bytes.subarray(0, 4096).toString('latin1');
  const known = signatures.find(([signature]) => head.startsWith(signature));
  if (format === 'parquet') return head.startsWith('PAR1') ? null : (known?.[1] ?? 'none');
  if (known) return known[1];
  return head.includes('\0') ? 'no text' : null;
}

/** A file of which one line is an object is one of rows, and its other lines are at fault themselves. */
function recogniseText(bytes: Buffer, isWhole: boolean): string | null {
  const text = bytes.toString('utf8').replace(/^\uFEFF/, '');
  if (text.trimStart().startsWith('[') && (!isWhole || Array.isArray(parseJson(text)))) return 'a JSON array';
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  if (!isWhole) lines.pop();
  if (lines.length === 0 || lines.some((line) => isObject(parseJson(line)))) return null;
  if (isWhole && isObject(parseJson(text))) return 'one JSON object over several lines';
  const [first] = lines as [string];
  const shown = first.trim().length > 60 ? `${first.trim().slice(0, 60)}…` : first.trim();
  const isJson = /^\s*[[{]/.test(first);
  const separated = isJson ? null : first.includes('\t') ? 'TSV' : first.includes(',') ? 'CSV' : null;
  return `${separated ? `probably ${separated}` : 'something else'}: its first line is ${JSON.stringify(shown)}`;
}
