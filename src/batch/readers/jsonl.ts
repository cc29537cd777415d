import { readLines } from '../lines.js';
import type { SourceRow } from './index.js';

/** One JSON object a line; blank lines are left out. */
export async function* readJsonl(file: string): AsyncGenerator<SourceRow> {
  for await (const { text, offset } of readLines(file)) {
    const line = (offset === 0 ? text.replace(/^\uFEFF/, '') : text).trim();
    if (line !== '') yield { text: line };
  }
}
