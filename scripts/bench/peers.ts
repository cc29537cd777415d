import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { makePeerClips, type PeerClip } from './peer-clips.js';
import { type ReadFrames, readFrames } from './read-frames.js';
import { median, ms, type Table, times } from './table.js';

export interface PeerBench {
  /** Holds the clips, 6 GB; those of an earlier run are used. */
  readonly clips: string;
  /** A Python with the packages of scripts/bench/peers.txt. */
  readonly python: string;
  readonly rounds: number;
}

interface Reader {
  readonly title: string;
  read(clip: PeerClip): Promise<ReadFrames>;
}

const root = new URL('../../../', import.meta.url);
const peersScript = fileURLToPath(new URL('scripts/bench/peers.py', root));
const readScript = fileURLToPath(new URL('./read-frames.js', import.meta.url));

/** Why the peers cannot be measured, and what to do; null where they can. */
export function missingPeers(python: string): string | null {
  const found = existsSync(python) && spawnSync(python, ['-c', 'import av, numpy, torchcodec']).status === 0;
  if (found) return null;
  return (
    `the peers are skipped: ${python} lacks PyAV or torchcodec. To make it: ` +
    'python3 -m venv .venv && .venv/bin/pip install -r scripts/bench/peers.txt (6 GB)'
  );
}

/** The same frames of the same clips by us, torchcodec and PyAV, in rounds, one reader after the other. */
export async function benchPeers({ clips, python, rounds }: PeerBench): Promise<Table> {
  const peers = startPeers(python);
  try {
    const readers = [...ours, ...peers.readers];
    const rows: string[][] = [];
    for (const clip of makePeerClips(clips)) rows.push(toRow(clip, await measure(clip, readers, rounds)));
    return peerTable(rows, readers, rounds, peers.versions());
  } finally {
    peers.stop();
  }
}

const ours: readonly Reader[] = [
  { title: 'visionzip', read: ({ file, frames }) => readFrames(file, frames) },
  { title: 'in a fresh process', read: readCold },
];

/** The time is that of the whole process. */
async function readCold({ file, frames }: PeerClip): Promise<ReadFrames> {
  const start = performance.now();
  const { stdout } = await promisify(execFile)(process.execPath, [readScript, file, String(frames)]);
  return { ...(JSON.parse(stdout) as ReadFrames), ms: performance.now() - start };
}

/** One Python for all of them, its packages loaded. */
function startPeers(python: string) {
  const child = spawn(python, [peersScript], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const reader = (title: string, request: object): Reader => ({
    title,
    read: ({ file, frames }) => ask(child, lines, { ...request, file, frames }),
  });
  const torchcodec = { reader: 'torchcodec', exact: true };
  return {
    readers: [
      reader('torchcodec, 1 thread', { ...torchcodec, threads: 1 }),
      reader('2 threads', { ...torchcodec, threads: 2 }),
      reader('2 threads, approximate', { ...torchcodec, threads: 2, exact: false }),
      reader('PyAV', { reader: 'pyav' }),
    ],
    versions: () => versionsOf(python),
    stop: () => child.kill(),
  };
}

async function ask(child: ChildProcess, lines: AsyncIterator<string>, request: object): Promise<ReadFrames> {
  child.stdin!.write(`${JSON.stringify(request)}\n`);
  const { done, value } = await lines.next();
  if (done) throw new Error(`${peersScript} ended before it answered ${JSON.stringify(request)}`);
  return JSON.parse(value) as ReadFrames;
}

function versionsOf(python: string): string {
  const script =
    'import av, torchcodec; print(f"PyAV {av.__version__}, torchcodec {torchcodec.__version__}")';
  return spawnSync(python, ['-c', script], { encoding: 'utf8' }).stdout.trim();
}

/** Milliseconds of each reader, round by round. The round before the first one warms up. */
async function measure(clip: PeerClip, readers: readonly Reader[], rounds: number): Promise<number[][]> {
  const measured: number[][] = readers.map(() => []);
  for (let round = 0; round <= rounds; round++) {
    let first: ReadFrames | undefined;
    for (const [i, { title, read }] of readers.entries()) {
      const result = await read(clip);
      first ??= result;
      requireSame(clip, title, first, result);
      if (round > 0) measured[i]!.push(result.ms);
    }
  }
  console.error(`measured: ${clip.frames} frames of ${clip.name}`);
  return measured;
}

/** A reader that gives other frames is not compared. */
function requireSame({ name }: PeerClip, title: string, first: ReadFrames, result: ReadFrames): void {
  const sameTimes = result.ptsSeconds.every((pts, i) => Math.abs(pts - first.ptsSeconds[i]!) < 0.001);
  if (sameTimes && String(result.shape) === String(first.shape)) return;
  throw new Error(
    `${title} gives other frames of ${name}: ${result.shape} at ${result.ptsSeconds}, ` +
      `expected ${first.shape} at ${first.ptsSeconds}`,
  );
}

function toRow({ name, frames }: PeerClip, measured: readonly (readonly number[])[]): string[] {
  const medians = measured.map(median);
  const [warm, , oneThread, ...others] = medians as [number, number, number, ...number[]];
  const best = Math.min(oneThread, ...others);
  return [name, String(frames), ...medians.map(ms), times(warm / oneThread), times(warm / best)];
}

function peerTable(
  rows: readonly (readonly string[])[],
  readers: readonly Reader[],
  rounds: number,
  versions: string,
): Table {
  return {
    title: 'Reading frames, beside torchcodec and PyAV',
    about:
      'Milliseconds to open an H.264 file (30 frames a second, a keyframe every 250) and to have frames as RGB at full size, ' +
      `equally spaced; every reader gives the same ones. ${rounds} rounds, in each one reader after the other; medians. ` +
      '*In a fresh process* is the whole process, from its start to its end; all others are warm. *Approximate* is ' +
      `torchcodec’s \`seek_mode\` that does not list the packets first. ${versions}.`,
    columns: ['clip', 'frames', ...readers.map(({ title }) => title), '÷ torchcodec, 1 thread', '÷ the best'],
    rows,
  };
}
