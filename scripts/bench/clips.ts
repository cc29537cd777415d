import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A row of questions.jsonl. */
export interface ClipRow {
  /** File name in the folder. */
  readonly video: string;
  readonly question: string;
  readonly answer: string;
  readonly kind: string;
}

/** What `npm run clips` writes, in a folder. */
export function makeClips(seed: string, count: string, folder: string): void {
  const script = fileURLToPath(new URL('../clips.js', import.meta.url));
  const args = [script, '--seed', seed, '--count', count, '--out', folder];
  execFileSync(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

export function readQuestions(folder: string): ClipRow[] {
  const lines = readFileSync(join(folder, 'questions.jsonl'), 'utf8').trim().split('\n');
  return lines.map((line) => JSON.parse(line) as ClipRow);
}
