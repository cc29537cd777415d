import { join } from 'node:path';
import { type ClipRow, makeClips, readQuestions } from './clip-files.js';

export interface DatasetRow extends ClipRow {
  readonly id: number;
}

export interface DatasetOptions {
  readonly rows: number;
  readonly clips: number;
  readonly seed: number;
  readonly signal?: AbortSignal;
}

/**
 * Makes short clips and questions about them, as many of each clip. The generator has 5 to 20 questions for one; what is missing are
 * the same ones in other words, which the model has to answer anew.
 */
export async function makeDataset(
  folder: string,
  { rows, clips, seed, signal }: DatasetOptions,
): Promise<DatasetRow[]> {
  const each = Math.ceil(rows / clips);
  await makeClips(seed, clips, folder, { seconds: '2-4', most: each, signal });
  const byClip = new Map<string, ClipRow[]>();
  for (const row of readQuestions(folder)) byClip.set(row.video, [...(byClip.get(row.video) ?? []), row]);
  const all = [...byClip.values()].flatMap((asked) =>
    Array.from({ length: each }, (_, i) => reworded(asked[i % asked.length]!, Math.floor(i / asked.length))),
  );
  return all.slice(0, rows).map((row, id) => ({ id, ...row, video: join(folder, row.video) }));
}

function reworded(row: ClipRow, round: number): ClipRow {
  return round === 0 ? row : { ...row, question: `Question ${round}: ${row.question}` };
}
