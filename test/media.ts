import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll } from 'vitest';

const run = promisify(execFile);

/** A folder of the calling test file's own, removed at its end. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'visionzip-test-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Runs plain ffmpeg, without anything of ours around it. */
export async function ffmpeg(...args: string[]): Promise<void> {
  await run('ffmpeg', ['-v', 'error', '-nostdin', '-y', ...args]);
}

/** Whether ffmpeg was built with an encoder; not every build has those of foreign libraries. */
export async function hasEncoder(name: string): Promise<boolean> {
  const { stdout } = await run('ffmpeg', ['-v', 'error', '-encoders']);
  return stdout.split('\n').some((line) => line.split(' ').includes(name));
}

/** An input of moving test pictures; `filter` adds to it. */
export function testPattern(
  width: number,
  height: number,
  fps: number,
  seconds: number,
  filter = '',
): string[] {
  const source = `testsrc2=size=${width}x${height}:rate=${fps}:duration=${seconds}`;
  return ['-f', 'lavfi', '-i', filter ? `${source},${filter}` : source];
}

/** H.264 with two B-frames between references and a keyframe every `interval` frames. */
export function h264(interval = 25): string[] {
  return [...['-c:v', 'libx264', '-preset', 'veryfast', '-g', String(interval), '-bf', '2'], ...yuv420p];
}
export const yuv420p = ['-pix_fmt', 'yuv420p'];

/** Copies a clip and marks it as to be turned anticlockwise; how to say so depends on ffmpeg's version. */
export async function rotate(from: string, degrees: number, to: string): Promise<void> {
  const copy = ['-i', from, '-c', 'copy'];
  await ffmpeg('-display_rotation', String(degrees), ...copy, to).catch(() =>
    ffmpeg(...copy, '-metadata:s:v', `rotate=${degrees}`, to),
  );
}

/**
 * The times of the shown frames, by decoding: what ffprobe says, not our own code. NaN where it knows none.
 */
export async function shownTimes(file: string, stream = 'v:0'): Promise<number[]> {
  const show = ['-show_entries', 'frame=best_effort_timestamp_time', '-of', 'csv=p=0'];
  const { stdout } = await run('ffprobe', ['-v', 'error', '-select_streams', stream, ...show, file]);
  return stdout
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => Number.parseFloat(line));
}

/** Times from the first, to the microsecond. */
export function fromFirst(times: readonly number[]): number[] {
  return times.map((time) => Math.round((time - times[0]!) * 1e6) / 1e6);
}

/** Index of the video stream that plain ffmpeg takes when it is not told which. */
export async function pickedStream(file: string): Promise<number> {
  const { stderr } = await run('ffmpeg', ['-nostdin', '-i', file, '-t', '0.1', '-f', 'null', '-']);
  return Number(/Stream #0:(\d+)\S* -> #0:0 \(\S+ \(native\) -> wrapped_avframe/.exec(stderr)?.[1]);
}

/** Every frame as plain ffmpeg gives it in one go: (height, width, 3) each. */
export async function plainFrames(
  file: string,
  frameBytes: number,
  map = '0:V:0',
  filter: readonly string[] = [],
): Promise<Uint8Array[]> {
  const raw = ['-fps_mode', 'passthrough', '-pix_fmt', 'rgb24', '-f', 'rawvideo', 'pipe:1'];
  const { stdout } = await run(
    'ffmpeg',
    ['-v', 'error', '-nostdin', '-i', file, '-map', map, ...filter, ...raw],
    {
      encoding: 'buffer',
      maxBuffer: 2 ** 28,
    },
  );
  const count = stdout.length / frameBytes;
  return Array.from({ length: count }, (_, i) => stdout.subarray(i * frameBytes, (i + 1) * frameBytes));
}

/** Processes that run now whose command line names ffmpeg or ffprobe and that this process has started. */
export async function decodersAlive(): Promise<string[]> {
  const { stdout } = await run('ps', ['-eo', 'pid=,ppid=,pgid=,args=']);
  const rows = stdout.split('\n').flatMap((line) => {
    const [, pid, ppid, args] = /^ *(\d+) +(\d+) +\d+ (.*)$/.exec(line) ?? [];
    return args === undefined ? [] : [{ pid: Number(pid), ppid: Number(ppid), args }];
  });
  const ours = new Set([process.pid]);
  for (let grown = -1; grown !== ours.size; ) {
    grown = ours.size;
    for (const { pid, ppid } of rows) if (ours.has(ppid)) ours.add(pid);
  }
  return rows
    .filter(({ pid, args }) => ours.has(pid) && /ffmpeg|ffprobe/.test(args) && pid !== process.pid)
    .map(({ args }) => args);
}

const clips = fileURLToPath(new URL('../../shared/videos', import.meta.url));

/** A published clip that may lie beside the repository; null where it does not. */
export function publishedClip(name: string): string | null {
  const file = join(clips, name);
  return existsSync(file) ? file : null;
}
