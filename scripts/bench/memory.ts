import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Table } from './table.js';

export interface MemoryClip {
  readonly name: string;
  readonly file: string;
}

/**
 * Peak resident memory of a process that answers one question, a fresh process a run. The decoder's own memory
 * is not in it: that is another process, the same for every length.
 */
export function benchMemory(
  modelDir: string,
  clips: readonly MemoryClip[],
  frameCounts: readonly number[],
): Table {
  const peak = (clip: string, frames: number) =>
    Number(
      execFileSync(process.execPath, [peakScript, modelDir, clip, String(frames)], { encoding: 'utf8' }),
    );
  return {
    title: 'Resident memory',
    about: 'Peak of a fresh process that loads the model and answers one question.',
    columns: ['clip', ...frameCounts.map((frames) => `MiB, ${frames} frames`)],
    rows: clips.map(({ name, file }) => [
      name,
      ...frameCounts.map((frames) => (peak(file, frames) / 1024).toFixed(0)),
    ]),
  };
}

const peakScript = fileURLToPath(new URL('./peak-memory.js', import.meta.url));

/** A clip of a given length at 640 × 360 and 12 frames a second, a keyframe every 60. */
export function makeClip(folder: string, seconds: number): string {
  const file = join(folder, `${seconds}-seconds.mp4`);
  execFileSync('ffmpeg', [
    ...['-v', 'error', '-f', 'lavfi', '-i', `testsrc2=size=640x360:rate=12:duration=${seconds}`],
    ...['-c:v', 'libx264', '-preset', 'ultrafast', '-g', '60', '-pix_fmt', 'yuv420p', file],
  ]);
  return file;
}
