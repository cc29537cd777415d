import { isUtf8 } from 'node:buffer';
import type { SourceRow } from './index.js';

/** How many rows are decoded at once; of a larger row group the pages before them are skipped. */
const rowsAtOnce = 20_000;

/** The rows of a Parquet file, row group by row group. */
export async function* readParquet(file: string): AsyncGenerator<SourceRow> {
  const { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } = await import('hyparquet');
  const { compressors } = await import('hyparquet-compressors');
  const bytes = await asyncBufferFromFile(file);
  const metadata = await parquetMetadataAsync(bytes);
  let first = 0;
  for (const group of metadata.row_groups) {
    const end = first + Number(group.num_rows);
    for (; first < end; first += rowsAtOnce) {
      const range = { rowStart: first, rowEnd: Math.min(first + rowsAtOnce, end) };
      const rows = await parquetReadObjects({ file: bytes, metadata, compressors, utf8: false, ...range });
      for (const row of rows) yield { text: jsonOf(row) };
    }
    first = end;
  }
}

/**
 * As JSON.stringify, but 64-bit integers keep their digits, and bytes, which are no part of a row, are null, unless they are text: older
 * writers do not say which of the two a column is.
 */
export function jsonOf(value: unknown): string {
  if (typeof value === 'bigint') return String(value);
  if (ArrayBuffer.isView(value) && value instanceof Uint8Array) return JSON.stringify(textOf(value));
  if (Array.isArray(value) || ArrayBuffer.isView(value))
    return `[${Array.from(value as ArrayLike<unknown>, jsonOf).join(',')}]`;
  if (typeof value !== 'object' || value === null || value instanceof Date)
    return JSON.stringify(value) ?? 'null';
  const members = Object.entries(value).map(([name, member]) => `${JSON.stringify(name)}:${jsonOf(member)}`);
  return `{${members.join(',')}}`;
}

/** Null for bytes that are no text in UTF-8. */
function textOf(bytes: Uint8Array): string | null {
  if (!isUtf8(bytes)) return null;
  const text = Buffer.from(bytes).toString();
  return text.includes('\0') ? null : text;
}
