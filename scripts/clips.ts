/** Makes clips of coloured shapes that move, as H.264 files, and questions on them with the true answers. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { parseCount, parseSeconds } from './arguments.js';
import {
  type Clip,
  type ClipOptions,
  clipSeed,
  EXTRA_KINDS,
  type ExtraKind,
  generateClip,
} from './clips/index.js';

const HELP = `Usage: clips --seed S --count N --out DIR

Makes N clips of small coloured shapes that move, turn, appear and vanish over drifting, noisy backgrounds, and asks
about them.

Options:
  --seed S     whole number; the same seed gives the same bytes (default 0)
  --count N    how many clips (default 10)
  --out DIR    folder to write to, made if it is missing: clip-000.mp4, … and questions.jsonl, whose rows hold
               video (file name in DIR), question, answer, kind (colour, shape, count, presence, direction, place
               or order)
  --seconds R  shortest and longest clip, within 2-3600, lengths spread evenly on a logarithmic scale (default 2-20)
  --with K     more kinds, with commas: when (its rows hold toleranceSeconds, how far an answer may be off), flash
               (every clip then holds one, a fraction of a second long)
  --most N     most questions a clip (default 8): one of each kind first, the kinds of --with before the usual ones
  --help       this text
`;

/** One thread and no encoder's stamp in the file: the same frames give the same bytes. */
function encoderArguments({ scene: { size, fps, crf } }: Clip, path: string): string[] {
  const input = `-f rawvideo -pix_fmt rgb24 -video_size ${size}x${size} -framerate ${fps} -i pipe:0`;
  const encoder = `-an -c:v libx264 -preset medium -crf ${crf} -pix_fmt yuv420p -threads 1`;
  const file = '-flags:v +bitexact -fflags +bitexact -map_metadata -1 -movflags +faststart';
  const options = `-hide_banner -loglevel error -nostdin -y ${input} ${encoder} ${file}`;
  return [...options.split(' '), `file:${path}`];
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

function parseKinds(text: string): ExtraKind[] {
  const names = text.split(',').filter(Boolean);
  return names.map((name) => {
    const kind = EXTRA_KINDS.find((extra) => extra === name);
    if (!kind) throw new RangeError(`\`--with\` takes ${EXTRA_KINDS.join(' and ')}, got "${name}"`);
    return kind;
  });
}

interface Wanted {
  readonly seed: number;
  readonly count: number;
  readonly out: string;
  readonly options: ClipOptions;
}

/** Writes clips and questions.jsonl into a folder; returns the number of questions. */
async function writeClips({ seed, count, out, options }: Wanted): Promise<number> {
  await mkdir(out, { recursive: true });
  const rows: string[] = [];
  for (let index = 0; index < count; index++) {
    const clip = generateClip(clipSeed(seed, index), options);
    const video = `clip-${String(index).padStart(3, '0')}.mp4`;
    await encodeClip(clip, join(resolve(out), video));
    for (const { question, answer, kind } of clip.questions) {
      const tolerance = kind === 'when' ? { toleranceSeconds: clip.toleranceSeconds } : {};
      rows.push(JSON.stringify({ video, question, answer, kind, ...tolerance }));
    }
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
      seconds: { type: 'string', default: '2-20' },
      with: { type: 'string', default: '' },
      most: { type: 'string', default: '8' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  if (!values.out) throw new TypeError('`--out` must name the folder to write to');
  const count = parseCount('count', values.count, 1);
  const questions = await writeClips({
    seed: parseCount('seed', values.seed, Number.MIN_SAFE_INTEGER),
    count,
    out: values.out,
    options: {
      seconds: parseSeconds(values.seconds),
      with: parseKinds(values.with),
      most: parseCount('most', values.most, 1),
    },
  });
  process.stderr.write(`${count} clips and ${questions} questions in ${values.out}\n`);
}

main().catch((error: Error) => {
  process.stderr.write(`clips: ${error.message}\n`);
  const isUsage = error instanceof TypeError || error instanceof RangeError;
  process.exitCode = isUsage ? 2 : 1;
});
