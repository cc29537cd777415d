import { readFile } from 'node:fs/promises';
import { messageOf } from '../format.js';
import { settingsError } from './errors.js';
import { isObject, parseJson } from './members.js';

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

/** Reads the text of a JSONL file. Throws one usage error, and no row, for a file that holds something else. */
export async function readJsonl(file: string): Promise<string> {
  const bytes = await readFile(file).catch((error) => {
    throw settingsError(`cannot read the rows: ${messageOf(error)}`);
  });
  const text = bytes.toString('utf8').replace(/^\uFEFF/, '');
  const other = recogniseBytes(bytes) ?? recogniseText(text);
  if (other === null) return text;
  throw settingsError(`expected a JSONL file, one JSON object a line; ${file} is ${other}`);
}

function recogniseBytes(bytes: Buffer): string | null {
  const head = bytes.subarray(0, 4096).toString('latin1');
  const known = signatures.find(([signature]) => head.startsWith(signature));
  if (known) return known[1];
  return head.includes('\0') ? 'no text' : null;
}

/** A file of which one line is an object is one of rows, and its other lines are at fault themselves. */
function recogniseText(text: string): string | null {
  const whole = text.trimStart().startsWith('[') ? parseJson(text) : undefined;
  if (Array.isArray(whole)) return 'a JSON array';
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  if (lines.length === 0 || lines.some((line) => isObject(parseJson(line)))) return null;
  if (isObject(parseJson(text))) return 'one JSON object over several lines';
  const [first] = lines as [string];
  const shown = first.trim().length > 60 ? `${first.trim().slice(0, 60)}…` : first.trim();
  const separated = first.includes('\t') ? 'TSV' : first.includes(',') ? 'CSV' : null;
  return `${separated ? `probably ${separated}` : 'something else'}: its first line is ${JSON.stringify(shown)}`;
}
