/** Makes clips of coloured shapes that move, as H.264 files, and questions on them with the true answers. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type Clip, clipSeed, generateClip } from '../src/clips/index.js';

const HELP = `Usage: clips --seed S --count N --out DIR

Makes N short clips of coloured shapes that move over textured backgrounds, and asks about them.

Options:
  --seed S     whole number; the same seed gives the same bytes (default 0)
  --count N    how many clips (default 10)
  --out DIR    folder to write to, made if it is missing: clip-000.mp4, … and questions.jsonl, whose rows hold
               video (file name in DIR), question, answer, kind (colour, shape, count or direction)
  --help       this text
`;

/** One thread and no encoder's stamp in the file: the same frames give the same bytes. */
function encoderArguments(clip: Clip, path: string): string[] {
  const { size, fps } = clip.scene;
  return [
    ...['-hide_banner', '-loglevel', 'error', '-nostdin', '-y'],
    ...['-f', 'rawvideo', '-pix_fmt', 'rgb24', '-video_size', `${size}x${size}`, '-framerate', String(fps)],
    ...['-i', 'pipe:0', '-an', '-c:v', 'libx264', '-preset', 'medium', '-crf', '20', '-pix_fmt', 'yuv420p'],
    ...['-threads', '1', '-flags:v', '+bitexact', '-fflags', '+bitexact', '-map_metadata', '-1'],
    ...['-movflags', '+faststart', `file:${path}`],
  ];
}

/** Encodes a clip into an MP4 file. Fails with what ffmpeg wrote to its standard error. */
async function encodeClip(clip: Clip, path: string): Promise<void> {
  const ffmpeg = spawn('ffmpeg', encoderArguments(clip, path), { stdio: ['pipe', 'ignore', 'pipe'] });
  let complaint = '';
  ffmpeg.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint += text;
  });
  // An encoder that gives up closes its input; the reason is in its exit code and complaint.
  ffmpeg.stdin.on('error', () => {});
  const closed = once(ffmpeg, 'close') as Promise<[number | null]>;
  closed.catch(() => {});
  for (const frame of clip.frames()) {
    if (!ffmpeg.stdin.writable) break;
    if (!ffmpeg.stdin.write(frame)) await Promise.race([once(ffmpeg.stdin, 'drain'), closed]);
  }
  ffmpeg.stdin.end();
  const [code] = await closed;
  if (code !== 0) throw new Error(`ffmpeg ended with code ${code} on ${path}: ${complaint.trim()}`);
}

function parseCount(name: string, text: string, least: number): number {
  const value = Number(text);
  if (!/^-?\d+$/.test(text) || !Number.isSafeInteger(value) || value < least)
    throw new RangeError(`\`--${name}\` must be a whole number of at least ${least}, got "${text}"`);
  return value;
}

/** Writes `count` clips and questions.jsonl into `out`; returns the number of questions. */
async function writeClips(seed: number, count: number, out: string): Promise<number> {
  await mkdir(out, { recursive: true });
  const rows: string[] = [];
  for (let index = 0; index < count; index++) {
    const clip = generateClip(clipSeed(seed, index));
    const video = `clip-${String(index).padStart(3, '0')}.mp4`;
    await encodeClip(clip, join(resolve(out), video));
    for (const { question, answer, kind } of clip.questions)
      rows.push(JSON.stringify({ video, question, answer, kind }));
  }
  await writeFile(join(out, 'questions.jsonl'), rows.map((row) => `${row}\n`).join(''));
  return rows.length;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '0' },
      count: { type: 'string', default: '10' },
      out: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  if (!values.out) throw new TypeError('`--out` must name the folder to write to');
  const count = parseCount('count', values.count, 1);
  const questions = await writeClips(
    parseCount('seed', values.seed, Number.MIN_SAFE_INTEGER),
    count,
    values.out,
  );
  process.stderr.write(`${count} clips and ${questions} questions in ${values.out}\n`);
}

main().catch((error: Error) => {
  process.stderr.write(`clips: ${error.message}\n`);
  const isUsage = error instanceof TypeError || error instanceof RangeError;
  process.exitCode = isUsage ? 2 : 1;
});
