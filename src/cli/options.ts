import { resolve } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { z } from 'zod';
import { faultOfJob } from '../../queues/faults.js';
import {
  type AskedQuestion,
  type AskJob,
  type AskJobInput,
  askJobSchema,
  generationSchema,
  overTimeSchema,
  samplingSchema,
} from '../../queues/schemas.js';
import { parseTime } from '../format.js';
import { noOverTime } from '../pipeline/over-time/stages.js';
import { readVariable } from '../settings.js';
import { settings } from './connect.js';
import { usageError } from './exit.js';

/** What the options of a question come to. Times in seconds; what is not given is left to the model. */
export interface JobOptions {
  readonly frames?: number;
  readonly fps?: number;
  readonly maxFrames?: number;
  readonly sampling?: 'auto' | 'fast' | 'uniform';
  readonly fast?: boolean;
  readonly start?: number;
  readonly end?: number;
  readonly compression?: AskJob['compression'];
  readonly generation?: 'greedy' | 'model';
  readonly maxNewTokens?: number;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly repetitionPenalty?: number;
  readonly seed?: number;
  readonly stop?: string[];
  readonly model?: string;
  readonly strict?: boolean;
  readonly overTime?: AskJob['overTime'];
}

/** The settings of a job: everything but its video and its questions. */
export type JobSettings = Omit<AskJobInput, 'video' | 'questions'>;

/** What the options come to; with the model that is asked where none was named. */
export type OptionSettings = JobSettings & { readonly model: string };

/** Adds the options that say how a video is sampled, compressed and answered. */
export function addJobOptions(command: Command, modelHelp: string): Command {
  return command
    .option(
      '--frames <n>',
      'number of frames (default: by the length of the video, as suits the model)',
      wholeNumber,
    )
    .option('--fps <n>', 'frames a second of video, instead of --frames', decimal)
    .option('--max-frames <n>', 'upper bound with --fps', wholeNumber)
    .addOption(
      new Option(
        '--sampling <how>',
        'which frames: auto (half of them evenly, up to half where most changes: the video is decoded once for that), fast (the same by keyframes and the sizes of packets alone) or uniform (default: auto)',
      ).choices(['auto', 'fast', 'uniform']),
    )
    .option('--fast', 'the same as --sampling fast')
    .option('--start <time>', 'from this time of the video: seconds, m:ss or h:mm:ss', time)
    .option('--end <time>', 'up to this time of the video', time)
    .option(
      '--compression <how>',
      'auto (what fits the context), none, or dominant+contextual tokens a frame, or a crop of a picture, such as 14+3 (default: auto)',
      compression,
    )
    .option(
      '--over-time <how>',
      `what is done about what repeats: none, or stages such as windows=keep,budget=even (${overTimeChoices()}; default: what was measured to be best, none with --compression none)`,
      overTime,
    )
    .addOption(
      new Option(
        '--generation <whose>',
        "greedy (the likeliest token: the same answer each time) or model (sample as the model's generation_config.json says, unless an option below says otherwise) (default: greedy)",
      ).choices(['greedy', 'model']),
    )
    .option('--max-new-tokens <n>', 'upper bound of an answer in tokens (default: 64)', wholeNumber)
    .option('--temperature <n>', 'above 0 samples the answer (default: 0, greedy)', decimal)
    .option('--top-k <n>', 'sample among the k likeliest tokens', wholeNumber)
    .option('--top-p <n>', 'sample among the likeliest tokens that reach this share', decimal)
    .option(
      '--repetition-penalty <n>',
      "above 1 makes tokens less likely that were there before, 1 does not (default: the model's own)",
      decimal,
    )
    .option('--seed <n>', 'makes sampling repeatable', wholeNumber)
    .option('--stop <text>', 'end the answer before this text; may be repeated', collect)
    .option('--strict', 'fail on a truncated or damaged video instead of using what can be decoded')
    .option('--model <name>', `${modelHelp} (default: VISIONZIP_MODEL, else nano)`);
}

/** Adds what the answer may be. */
export function addChoiceOption(command: Command): Command {
  return command.option(
    '--option <text>',
    'what the answer may be, A first; repeated, 2 to 26 of them: each question is then answered by the letter of one of them',
    collect,
  );
}

/** The questions, each with the same options where there are any. */
export function withOptions(questions: readonly string[], options: readonly string[] = []): AskedQuestion[] {
  if (options.length === 0) return [...questions];
  if (options.length === 1) throw usageError('--option: expected 2 to 26 of them, got 1');
  return questions.map((question) => ({ question, options }));
}

/** The options as a job's settings; fields that were not given are left out. */
export function jobSettings(options: JobOptions): OptionSettings {
  const sampling = {
    frames: options.frames,
    fps: options.fps,
    maxFrames: options.maxFrames,
    method: samplingMethod(options),
    startSeconds: options.start,
    endSeconds: options.end,
  };
  const generation = {
    defaults: options.generation,
    maxNewTokens: options.maxNewTokens,
    temperature: options.temperature,
    topK: options.topK,
    topP: options.topP,
    repetitionPenalty: options.repetitionPenalty,
    seed: options.seed,
    stop: options.stop,
  };
  return {
    sampling: given(sampling),
    generation: given(generation),
    compression: options.compression ?? 'auto',
    model: options.model ?? settings().model,
    ...(options.overTime && { overTime: options.overTime }),
    ...(options.strict && { strict: true }),
  };
}

function samplingMethod({ sampling, fast }: JobOptions) {
  if (!fast) return sampling;
  if (sampling && sampling !== 'fast') throw usageError(`give --fast or --sampling ${sampling}, not both`);
  return 'fast' as const;
}

/** A whole job, checked against the contract. Throws a usage error that names the option at fault. */
export function buildJob(video: string, questions: readonly AskedQuestion[], settings: JobSettings): AskJob {
  const job = { video: video && resolve(video), questions: [...questions], ...settings };
  const parsed = askJobSchema.safeParse(job, { reportInput: true });
  if (parsed.success) return parsed.data;
  throw usageError(describeIssue(parsed.error), faultOfJob(parsed.error));
}

/** Where an option is not called as its field in a job. */
const optionNames: Record<string, string> = {
  startSeconds: '--start',
  endSeconds: '--end',
  method: '--sampling',
  defaults: '--generation',
  deadlineMs: '--deadline',
};

/** Fields that are options. The faults of others, such as `questions`, speak for themselves. */
const optionFields = new Set([
  ...Object.keys(samplingSchema.shape),
  ...Object.keys(generationSchema.shape),
  ...['compression', 'model', 'priority', 'deadlineMs'],
]);

/** The first issue of a job that breaks the contract, in the words of the command line. */
export function describeIssue(error: z.ZodError): string {
  const issue = error.issues[0]!;
  const field = issue.path.findLast((part) => typeof part === 'string');
  if (field === undefined || !optionFields.has(field)) return nameOptions(issue.message);
  return `${optionOf(field)}: ${issue.message}, got ${JSON.stringify(issue.input)}`;
}

/** A sentence about fields of a job, `` `startSeconds` ``, as one about options, `--start`. */
export function nameOptions(sentence: string): string {
  return sentence.replace(/`(\w+)`/g, (quoted, field) =>
    optionFields.has(field) ? optionOf(field) : quoted,
  );
}

function optionOf(field: string): string {
  return optionNames[field] ?? `--${field.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

function given<T extends object>(fields: T): Partial<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<T>;
}

export function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError(`expected a whole number from 0 up, got "${text}"`);
  return Number(text);
}

/** The parser of an option that stands for a setting. */
export function settingOption<Name extends Parameters<typeof readVariable>[0]>(name: Name) {
  return (text: string) => {
    try {
      return readVariable(name, text);
    } catch (error) {
      throw new InvalidArgumentError((error as Error).message);
    }
  };
}

export function decimal(text: string): number {
  if (!/^(\d+\.?\d*|\.\d+)$/.test(text))
    throw new InvalidArgumentError(`expected a number from 0 up, got "${text}"`);
  return Number(text);
}

function time(text: string): number {
  const seconds = parseTime(text);
  if (seconds !== null) return seconds;
  throw new InvalidArgumentError(`expected seconds, m:ss or h:mm:ss, got "${text}"`);
}

function compression(text: string): AskJob['compression'] {
  if (text === 'auto' || text === 'none') return text;
  const match = /^([1-9]\d*)\+(\d+)$/.exec(text);
  if (match) return { dominant: Number(match[1]), contextual: Number(match[2]) };
  throw new InvalidArgumentError(`expected auto, none or dominant+contextual such as 14+3, got "${text}"`);
}

/** `none`, or stages with what they are to be. */
function overTime(text: string): AskJob['overTime'] {
  if (text === 'none') return noOverTime;
  const stages = text.split(',').map((stage) => stage.split('='));
  const parsed = overTimeSchema.safeParse(Object.fromEntries(stages));
  if (parsed.success && stages.every(({ length }) => length === 2)) return parsed.data;
  throw new InvalidArgumentError(`expected none, or some of ${overTimeChoices()}, got "${text}"`);
}

function overTimeChoices(): string {
  const stages = Object.entries(overTimeSchema.shape);
  return stages.map(([name, { def }]) => `${name}=${def.innerType.options.join('|')}`).join(', ');
}

export function collect(text: string, previous: string[] = []): string[] {
  return [...previous, text];
}
