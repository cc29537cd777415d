import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

export const usage = `Usage: npm run --silent eval -- [options]

Makes clips from a seed, asks every question about them from the encoded file through the pipeline's own stages, with
and without compression, and prints how many answers are right, with 95 % intervals (bootstrap over clips).

  --parts, --suite LIST of short, curve, flash, beside, containers, half, over-time, video (default: short,curve,flash; beside too with --beside)
                        short   by kind: all tokens, VisionZip, random tokens, shuffled frames, frames of another
                                clip, no frames, chance
                        curve   eight ways to keep 50, 25, 10, 5 and 2 % of the tokens
                        flash   one flash in minutes of video, with as many frames as fit into the context
                        beside  the compressed model beside a smaller one
                        over-time  stages that look from frame to frame, at 25, 10, 5 and 2 % of the tokens
                        video   over-time, and whole jobs on long videos: which frames, what is imagined, what need not be encoded
                        half    short clips with the video's tokens in half precision, as the token store keeps them, beside float32
                        containers  the same clips as MPEG-TS, Matroska, with wide pixels and in HDR10
  --seed S            of the clips (default: 77)
  --model DIR         a prepared model (default: models/nano)
  --beside DIR        a model with a smaller decoder
  --trained DIR       a model whose decoder was trained with VisionZip: one more column of the part short
  --projectors DIR    projector-METHOD.onnx for METHOD of uniform, random, pool, merge, dominant: tuned for that way
  --frames N          frames of a short clip (default: the model's)
  --count N           short clips (default: 300, at most 10000)
  --curve-clips N     how many of them for the curve (default: 80)
  --beside-clips N    how many of them for the two models (default: 80)
  --container-clips N  how many of them in other containers (default: 40)
  --still-clips N     how many of them that stand still at their end (default: 40)
  --over-time-clips N  clips for the stages over time (default: 60)
  --flash-clips N     long clips, 1 to 10 minutes (default: 48, at most 1000)
  --quick             a few clips of each, long ones of a minute: to see that it works
  --work DIR          folder for clips and answers (default: .cache/eval). What is there is not asked again, unless
                      the model, the generator or the pipeline changed: a run that was killed goes on;
                      one run at a time
  --threads N         threads of ONNX Runtime (default: all cores)
  --mistakes          also name every wrong answer on the short clips, with all tokens and with VisionZip, on
                      standard error
  --json [FILE]       also write one JSON document to FILE, or print it instead of the tables
  --write             also replace the part of docs/results.md that this command made
  --help              this text

Exit codes: 0 done, 1 failed, 2 wrong command line, 130 interrupted.`;

const partNames = ['short', 'curve', 'flash', 'beside', 'containers', 'half', 'over-time', 'video'] as const;
export type PartName = (typeof partNames)[number];

export interface EvalOptions {
  readonly parts: ReadonlySet<PartName>;
  readonly seed: number;
  readonly model: string;
  readonly beside: string | undefined;
  readonly trained: string | undefined;
  readonly projectors: string | undefined;
  readonly frames: number | undefined;
  readonly count: number;
  readonly curveClips: number;
  readonly besideClips: number;
  readonly containerClips: number;
  readonly stillClips: number;
  readonly overTimeClips: number;
  readonly flashClips: number;
  readonly flashSeconds: readonly [number, number];
  readonly work: string;
  readonly threads: number;
  readonly mistakes: boolean;
  /** A file, or `-` for standard output. */
  readonly json: string | undefined;
  readonly write: boolean;
  readonly help: boolean;
  /** The command as it is shown above the tables. */
  readonly command: string;
}

/** Throws a TypeError or RangeError for a command line that makes no sense. */
export function parseOptions(args: readonly string[], root: string): EvalOptions {
  const { values, tokens } = parseArgs({
    args: withJsonTarget(args),
    tokens: true,
    options: {
      parts: { type: 'string' },
      suite: { type: 'string' },
      seed: { type: 'string', default: '77' },
      model: { type: 'string', default: join(root, 'models/nano') },
      beside: { type: 'string' },
      trained: { type: 'string' },
      projectors: { type: 'string' },
      frames: { type: 'string' },
      count: { type: 'string' },
      'curve-clips': { type: 'string' },
      'beside-clips': { type: 'string' },
      'container-clips': { type: 'string' },
      'still-clips': { type: 'string' },
      'over-time-clips': { type: 'string' },
      'flash-clips': { type: 'string' },
      quick: { type: 'boolean', default: false },
      work: { type: 'string', default: join(root, '.cache/eval') },
      threads: { type: 'string' },
      mistakes: { type: 'boolean', default: false },
      json: { type: 'string' },
      write: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const clips = (name: ClipCount, full: number, quick: number, most = 10_000) =>
    count(name, values[name], most) ?? (values.quick ? quick : full);
  const { model, beside, trained, projectors, work, mistakes, json, write, help } = values;
  const short = clips('count', 300, 4);
  return {
    ...{ model, beside, trained, projectors, work, mistakes, json, write, help },
    parts: parseParts(values.parts ?? values.suite, beside),
    seed: parseSeed(values.seed),
    frames: count('frames', values.frames),
    count: short,
    curveClips: Math.min(short, clips('curve-clips', 80, 2)),
    besideClips: Math.min(short, clips('beside-clips', 80, 2)),
    containerClips: Math.min(short, clips('container-clips', 40, 2)),
    stillClips: Math.min(short, clips('still-clips', 40, 2)),
    overTimeClips: clips('over-time-clips', 60, 2),
    // Chunks of two clips have a thousand seeds between them.
    flashClips: clips('flash-clips', 48, 1, 1000),
    flashSeconds: values.quick ? [60, 70] : [60, 600],
    threads: count('threads', values.threads) ?? cpus().length,
    command: commandOf(tokens),
  };
}

type ClipCount =
  | 'count'
  | 'curve-clips'
  | 'beside-clips'
  | 'container-clips'
  | 'still-clips'
  | 'over-time-clips'
  | 'flash-clips';

/** `--json` may stand without a file. */
function withJsonTarget(args: readonly string[]): string[] {
  return args.map((arg, i) =>
    arg === '--json' && (args[i + 1] ?? '--').startsWith('--') ? '--json=-' : arg,
  );
}

function parseParts(list: string | undefined, beside: string | undefined): Set<PartName> {
  const parts = new Set((list ?? `short,curve,flash${beside ? ',beside' : ''}`).split(',') as PartName[]);
  for (const part of parts) {
    if (!partNames.includes(part)) {
      throw new RangeError(`\`--parts\` takes ${partNames.join(', ')}, got "${part}"`);
    }
  }
  if (parts.has('video')) parts.add('over-time');
  if (parts.has('beside') && !beside) throw new TypeError('the part beside needs `--beside DIR`');
  return parts;
}

function parseSeed(text: string): number {
  const seed = Number(text);
  if (/^\d+$/.test(text) && seed <= 1e9) return seed;
  throw new RangeError(`\`--seed\` must be a whole number from 0 to 1000000000, got "${text}"`);
}

function count(name: string, text: string | undefined, most = 10_000): number | undefined {
  if (text === undefined) return undefined;
  if (/^[1-9]\d{0,5}$/.test(text) && Number(text) <= most) return Number(text);
  throw new RangeError(`\`--${name}\` must be a whole number from 1 to ${most}, got "${text}"`);
}

/** Without what does not change the figures. */
function commandOf(
  tokens: readonly { readonly kind: string; name?: string; value?: string | undefined }[],
): string {
  const words = tokens.flatMap(({ name, value }) =>
    name === undefined || ['work', 'json', 'threads', 'mistakes'].includes(name)
      ? []
      : [`--${name}`, value ?? []].flat(),
  );
  return ['npm run --silent eval --', ...words].join(' ');
}
