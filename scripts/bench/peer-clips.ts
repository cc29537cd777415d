import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';

export interface PeerClip {
  readonly name: string;
  readonly file: string;
  /** How many frames are read. */
  readonly frames: number;
}

const [FPS, KEYFRAME_INTERVAL] = [30, 250];
const SIZES = [
  { size: '1280x720', name: '720p', bitrate: '2M' },
  { size: '1920x1080', name: '1080p', bitrate: '4M' },
];
const LENGTHS = [
  { seconds: 60, name: '60 s', frames: [8, 64] },
  { seconds: 600, name: '10 min', frames: [8] },
  { seconds: 3600, name: '1 h', frames: [8] },
];

/** H.264 of every size and length. A clip that is in the folder already is used. */
export function makePeerClips(folder: string): PeerClip[] {
  mkdirSync(folder, { recursive: true });
  return SIZES.flatMap(({ size, name, bitrate }) => {
    const part = join(folder, `${name}-part.mp4`);
    if (!existsSync(part)) encodePart(part, size, bitrate);
    return LENGTHS.flatMap(({ seconds, name: length, frames }) => {
      const file = join(folder, `${name}-${seconds}.mp4`);
      if (!existsSync(file)) repeatPart(part, seconds, file);
      return frames.map((count) => ({ name: `${name}, ${length}`, file, frames: count }));
    });
  });
}

/** One interval between keyframes, of noisy pictures. */
function encodePart(part: string, size: string, bitrate: string): void {
  const seconds = KEYFRAME_INTERVAL / FPS;
  const source = `testsrc2=size=${size}:rate=${FPS}:duration=${seconds},noise=alls=6:allf=t`;
  const rate = ['-b:v', bitrate, '-maxrate', bitrate, '-bufsize', bitrate];
  const h264 = ['-c:v', 'libx264', '-preset', 'veryfast', '-g', String(KEYFRAME_INTERVAL), ...rate];
  ffmpeg(part, '-f', 'lavfi', '-i', source, ...h264, '-pix_fmt', 'yuv420p');
}

/** Copying costs next to nothing, and a decoder does not know a picture again. */
function repeatPart(part: string, seconds: number, file: string): void {
  const repeats = Math.ceil((seconds * FPS) / KEYFRAME_INTERVAL) - 1;
  ffmpeg(file, '-stream_loop', String(repeats), '-i', part, '-t', String(seconds), '-c', 'copy');
}

/** Under another name first: what is there is whole. */
function ffmpeg(output: string, ...args: string[]): void {
  const started = `${output}.part`;
  execFileSync('ffmpeg', ['-v', 'error', '-nostdin', '-y', ...args, '-f', 'mp4', started], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  renameSync(started, output);
}
