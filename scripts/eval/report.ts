import { readFileSync, writeFileSync } from 'node:fs';
import { type Table, toMarkdown } from '../bench/table.js';

const [start, end] = ['<!-- eval -->', '<!-- /eval -->'];

/** What stands in docs/results.md: the command, the model, the tables. */
export function report(command: string, model: string, seed: number, tables: readonly Table[]): string {
  return [`\`${command}\``, '', `Model ${model}, seed ${seed}.`, '', ...tables.map(toMarkdown)].join('\n');
}

/** Puts the text between the markers of a file. */
export function writeReport(file: string, text: string): void {
  const [before, after] = aroundMarkers(file);
  writeFileSync(file, `${before}${start}\n\n${text}\n${after}`);
}

/** What stands before the first marker, and from the second one on. Throws where one is missing. */
export function aroundMarkers(file: string): [before: string, after: string] {
  const text = readFileSync(file, 'utf8');
  const from = text.indexOf(start);
  const to = text.indexOf(end);
  if (from < 0 || to < from) throw new Error(`${file} must hold ${start} and ${end}`);
  return [text.slice(0, from), text.slice(to)];
}
