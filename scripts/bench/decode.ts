import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeFrames } from '../../src/media/decode.js';
import { type DecodeStrategy, planRuns } from '../../src/media/decode-plan.js';
import { decoderSandbox } from '../../src/media/ffmpeg.js';
import { defaultLimits, type OpenedVideo, openVideo } from '../../src/media/open.js';
import { sampleFrames } from '../../src/pipeline/sample.js';
import type { Table } from './table.js';

/** Of the clip: 720p at 30 frames a second, one minute. */
const [WIDTH, HEIGHT, FPS, SECONDS] = [1280, 720, 30, 60];
const FRAMES = [4, 16, 48];
const KEYFRAME_INTERVALS = [250, 50];
const STRATEGIES: readonly DecodeStrategy[] = ['seek', 'pass', 'auto'];

/**
 * Frames a second of the decoder by each strategy, and the figures behind the constants of decode-plan.ts.
 * One run of each: a run takes seconds, and the strategies differ by factors.
 */
export async function benchDecode(): Promise<Table[]> {
  const folder = mkdtempSync(join(tmpdir(), 'visionzip-bench-'));
  try {
    const rows: string[][] = [];
    for (const interval of KEYFRAME_INTERVALS) {
      const video = await openVideo(makeClip(folder, interval), defaultLimits);
      for (const frames of FRAMES) rows.push(await measureStrategies(video, interval, frames));
    }
    return [
      {
        title: 'Decoding: frames a second by each strategy',
        about:
          `${WIDTH} × ${HEIGHT} H.264, ${FPS} frames a second, ${SECONDS} seconds; raw RGB at full size. ` +
          `Wall seconds (frames a second). Sandbox: ${await decoderSandbox()}.`,
        columns: ['keyframe every', 'frames', ...STRATEGIES.map((name) => `\`${name}\``), '`auto` starts'],
        rows,
      },
    ];
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function measureStrategies(video: OpenedVideo, interval: number, frames: number): Promise<string[]> {
  const indices = sampleFrames(video, { frames }, frames);
  const cells: string[] = [];
  for (const strategy of STRATEGIES) {
    const start = performance.now();
    let count = 0;
    const options = { timeoutMs: defaultLimits.decodeTimeoutMs, strategy };
    for await (const _ of decodeFrames(video, indices, options)) count++;
    const seconds = (performance.now() - start) / 1000;
    cells.push(`${seconds.toFixed(2)} (${(count / seconds).toFixed(1)})`);
  }
  const processes = planRuns(video, indices, 'auto').length;
  return [
    String(interval),
    String(frames),
    ...cells,
    `${processes} ${processes === 1 ? 'process' : 'processes'}`,
  ];
}

/** Encodes one interval of noisy pictures, and repeats it by copying, which costs next to nothing. */
function makeClip(folder: string, interval: number): string {
  const [part, clip] = [`part-${interval}.mp4`, `clip-${interval}.mp4`].map((name) => join(folder, name));
  const source = `testsrc2=size=${WIDTH}x${HEIGHT}:rate=${FPS}:duration=${interval / FPS},noise=alls=6:allf=t`;
  const h264 = ['-c:v', 'libx264', '-preset', 'veryfast', '-g', String(interval), '-pix_fmt', 'yuv420p'];
  ffmpeg('-f', 'lavfi', '-i', source, ...h264, part!);
  const repeats = Math.ceil((SECONDS * FPS) / interval) - 1;
  ffmpeg('-stream_loop', String(repeats), '-i', part!, '-t', String(SECONDS), '-c', 'copy', clip!);
  return clip!;
}

function ffmpeg(...args: string[]): void {
  execFileSync('ffmpeg', ['-v', 'error', '-nostdin', '-y', ...args], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}
