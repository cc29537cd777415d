import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type ClipRow, makeClips, readQuestions } from '../clip-files.js';
import { type Clip, clipSeed, EXTRA_KINDS, type ExtraKind, generateClip } from '../clips/index.js';

/** One clip to ask about. */
export interface EvalClip {
  /** Name, the same in every run with the same seed. */
  readonly id: string;
  readonly file: string;
  readonly rows: readonly ClipRow[];
}

/** Which clips are wanted. */
export interface ClipsWanted {
  readonly seed: number;
  readonly count: number;
  readonly seconds: readonly [number, number];
  /** The kind that is asked beside the usual ones. */
  readonly extraKind: ExtraKind;
  /** Clips that are made in one go. */
  readonly chunk: number;
}

/** Where clips are made, and what stops that. */
export interface ClipFolder {
  readonly clips: string;
  readonly signal: AbortSignal;
}

const chunksAhead = 2;

/** Changes with what the generator draws and asks. */
export function worldDigest(): string {
  const hash = createHash('sha256');
  for (let i = 0; i < 20; i++) {
    const clip = generateClip(`eval/${i}`, { with: EXTRA_KINDS, most: 100 });
    hash.update(JSON.stringify([clip.scene, clip.questions, clip.toleranceSeconds]));
    hash.update(clip.frames().next().value!);
  }
  return hash.digest('hex').slice(0, 12);
}

/**
 * Makes clips in a folder and gives them out as they are ready; while one chunk is asked about, the next two are
 * made beside it. What is there already, of a run that was killed, is used.
 */
export async function* wantedClips(folder: ClipFolder, wanted: ClipsWanted): AsyncGenerator<EvalClip> {
  const counts: number[] = [];
  for (let left = wanted.count; left > 0; left -= wanted.chunk) counts.push(Math.min(left, wanted.chunk));
  const chunks: Promise<EvalClip[]>[] = [];
  for (const i of counts.keys()) {
    for (const [n, count] of counts.slice(0, i + 1 + chunksAhead).entries()) {
      chunks[n] ??= makeChunk(folder, wanted, chunkSeed(wanted.seed, n), count);
      // A failure counts when its turn comes.
      chunks[n].catch(() => {});
    }
    yield* await chunks[i]!;
  }
}

/** The scene behind a clip, for what its questions do not say. */
export function sceneOf(id: string, { seconds, extraKind }: ClipsWanted): Clip['scene'] {
  const [, seed, index] = /^(-?\d+)\/clip-(\d+)\.mp4$/.exec(id)!;
  return generateClip(clipSeed(Number(seed), Number(index)), { seconds, with: [extraKind] }).scene;
}

/** Questions on clips of the next seed, of which no video is made. */
export function practiceRows({ seed, seconds, extraKind }: ClipsWanted): ClipRow[] {
  return Array.from({ length: 300 }, (_, i) => {
    const id = clipSeed(chunkSeed(seed + 1, 0), i);
    const { questions, toleranceSeconds } = generateClip(id, { seconds, with: [extraKind] });
    return questions.map(({ question, answer, kind }) => ({
      ...{ video: id, question, answer, kind },
      ...(kind === 'when' && { toleranceSeconds }),
    }));
  }).flat();
}

/** Each chunk is a run of `npm run clips` with a seed of its own: there are fewer than 1,000 of them. */
function chunkSeed(seed: number, chunk: number): number {
  return seed * 1000 + chunk;
}

async function makeChunk(
  { clips, signal }: ClipFolder,
  { seconds, extraKind }: ClipsWanted,
  seed: number,
  count: number,
): Promise<EvalClip[]> {
  const range = seconds.join('-');
  const folder = join(clips, `${seed}-${count}-${range}s-${extraKind}`);
  if (!existsSync(folder)) {
    const part = `${folder}.part`;
    rmSync(part, { recursive: true, force: true });
    mkdirSync(part, { recursive: true });
    await makeClips(seed, count, part, { seconds: range, with: [extraKind], signal });
    renameSync(part, folder);
  }
  const rows = readQuestions(folder);
  return [...new Set(rows.map(({ video }) => video))].map((video) => ({
    id: `${seed}/${video}`,
    file: join(folder, video),
    rows: rows.filter((row) => row.video === video),
  }));
}
