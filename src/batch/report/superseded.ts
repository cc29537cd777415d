import { Fingerprints, fingerprintOfKey } from '../fingerprints.js';
import { objectOf } from './answered-row.js';
import { readJsonLines } from './read-lines.js';

/**
 * The lines of an output that count no more, because another is about the same row: the first completed one counts, else the last. An
 * output has such lines until its batch has ended. 40 to 64 bytes a row are kept meanwhile.
 */
export async function supersededLines(file: string): Promise<ReadonlySet<number>> {
  const superseded = new Set<number>();
  const rows = new Fingerprints();
  /** Of each row the line that counts, below 0 where it is not completed. */
  const counting: number[] = [];
  for await (const { line, fields } of readJsonLines(file)) {
    const { row, hash } = objectOf(fields?.batch);
    if (typeof row !== 'number' || typeof hash !== 'string') continue;
    const fingerprint = fingerprintOfKey(`${row} ${hash}`);
    const index = rows.first(fingerprint);
    const signed = fields!.status === 'completed' ? line : -line;
    if (index < 0) {
      rows.add(fingerprint);
      counting.push(signed);
    } else if (counting[index]! > 0) {
      superseded.add(line);
    } else {
      superseded.add(-counting[index]!);
      counting[index] = signed;
    }
  }
  return superseded;
}
