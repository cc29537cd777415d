import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** A row of questions.jsonl. */
export interface ClipRow {
  /** File name in the folder. */
  readonly video: string;
  readonly question: string;
  readonly answer: string;
  readonly kind: string;
}

/** What `npm run clips` writes, in a folder. */
export async function makeClips(seed: number, count: number, folder: string): Promise<void> {
  const script = fileURLToPath(new URL('clips.js', import.meta.url));
  const args = [script, '--seed', String(seed), '--count', String(count), '--out', folder];
  await promisify(execFile)(process.execPath, args);
}

export function readQuestions(folder: string): ClipRow[] {
  const lines = readFileSync(join(folder, 'questions.jsonl'), 'utf8').trim().split('\n');
  return lines.map((line) => JSON.parse(line) as ClipRow);
}
