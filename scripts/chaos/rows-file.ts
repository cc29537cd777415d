import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Format } from '../../src/batch/readers/index.js';

export type Fields = Readonly<Record<string, string | number>>;

/** Rows of which each has the same fields, as a file of a format. Returns its path. */
export async function writeRowsFile(
  folder: string,
  format: Format,
  rows: readonly Fields[],
): Promise<string> {
  const file = join(folder, `rows.${format}`);
  writeFileSync(file, await encode(format, rows));
  return file;
}

async function encode(format: Format, rows: readonly Fields[]): Promise<string | Buffer> {
  const lines = rows.map((row) => JSON.stringify(row));
  if (format === 'jsonl') return `${lines.join('\n')}\n`;
  if (format === 'json') return `[${lines.join(',\n')}]\n`;
  if (format === 'parquet') return encodeParquet(rows);
  return encodeSeparated(rows, format === 'csv' ? ',' : '\t');
}

function encodeSeparated(rows: readonly Fields[], separator: string): string {
  const quoted = (value: string | number) => `"${String(value).replaceAll('"', '""')}"`;
  const table = [Object.keys(rows[0]!), ...rows.map((row) => Object.values(row))];
  return `${table.map((cells) => cells.map(quoted).join(separator)).join('\n')}\n`;
}

async function encodeParquet(rows: readonly Fields[]): Promise<Buffer> {
  const { parquetWriteBuffer } = await import('hyparquet-writer');
  const columnData = Object.keys(rows[0]!).map((name) => ({ name, data: rows.map((row) => row[name]!) }));
  return Buffer.from(parquetWriteBuffer({ columnData, rowGroupSize: Math.ceil(rows.length / 4) }));
}
