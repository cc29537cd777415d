import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { ExtraKind } from './clips/index.js';

/** A row of questions.jsonl. */
export interface ClipRow {
  /** File name in the folder. */
  readonly video: string;
  readonly question: string;
  readonly answer: string;
  readonly kind: string;
  /** Of a `when`: how far the answer may be off. */
  readonly toleranceSeconds?: number;
}

export interface MakeOptions {
  /** Such as `2-20`. */
  readonly seconds?: string;
  readonly with?: readonly ExtraKind[];
  readonly most?: number;
  /** Stops the command; the promise then rejects with an AbortError, and the folder holds a part of the clips. */
  readonly signal?: AbortSignal;
}

/** What `npm run clips` writes, in a folder. */
export async function makeClips(
  seed: number,
  count: number,
  folder: string,
  { signal, ...options }: MakeOptions = {},
): Promise<void> {
  const script = fileURLToPath(new URL('clips.js', import.meta.url));
  const args = [script, '--seed', String(seed), '--count', String(count), '--out', folder];
  const more = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
  await promisify(execFile)(process.execPath, [...args, ...more], { signal });
}

export function readQuestions(folder: string): ClipRow[] {
  const lines = readFileSync(join(folder, 'questions.jsonl'), 'utf8').trim().split('\n');
  return lines.map((line) => JSON.parse(line) as ClipRow);
}
