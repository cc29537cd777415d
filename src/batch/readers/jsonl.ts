import { readLines } from '../lines.js';
import type { SourceRow } from './index.js';

/** One JSON object a line; blank lines are left out. */
export async function* readJsonl(file: string): AsyncGenerator<SourceRow> {
  for await (const { text, offset, isUtf8 } of readLines(file)) {
    const line = (offset === 0 ? text.replace(/^\uFEFF/, '') : text).trim();
    if (line !== '') yield isUtf8 ? { text: line } : { text: line, error: 'the line is not text in UTF-8' };
  }
}
