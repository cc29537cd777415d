import { type Command, InvalidArgumentError, Option } from 'commander';
import { tagsSchema } from '../../queues/schemas.js';
import { type Columns, parseMap, roles } from '../batch/layout.js';
import { presetNames } from '../batch/presets/index.js';
import { type Format, formats } from '../batch/readers/index.js';
import { runIdRule } from '../batch/run-file.js';
import type { Choice } from '../batch/survey.js';
import { messageOf } from '../format.js';
import { collect, decimal, type JobOptions, wholeNumber } from './options.js';

export interface BatchOptions extends JobOptions {
  readonly out: string;
  readonly format?: Format;
  readonly map?: Columns;
  readonly preset?: string;
  readonly videos?: string;
  readonly local?: boolean;
  readonly inFlight?: number;
  readonly priority?: number;
  readonly deadline?: number;
  readonly idField?: string;
  readonly limit?: number;
  readonly shard?: Choice['shard'];
  readonly only?: string[];
  readonly keepFailed?: boolean;
  readonly retryFailed?: boolean;
  readonly replace?: boolean;
  readonly runId?: string;
  readonly tag?: Record<string, string>;
  readonly debug?: boolean;
}

/** Behind all questions that are asked one by one, which have no priority; datasets of one priority take turns. */
export const defaultPriority = 100;

/** A job has up to 16 tags, and `run` is one. */
const mostTags = 15;

/** Adds the options that say how a file of rows is read, and which of its rows are asked, in what order. */
export function addBatchOptions(batch: Command): Command {
  return batch
    .requiredOption(
      '--out <file>',
      'where the answered rows go; "-" for standard output, which like a pipe cannot be gone on with',
    )
    .addOption(
      new Option('--format <name>', "the file's format (default: by its ending, else jsonl)").choices(
        formats,
      ),
    )
    .option(
      '--map <columns>',
      `which columns mean what, such as video=clip_name,question=q or options=a0+a1+a2 (${roles.join(', ')})`,
      checked(parseMap),
    )
    .addOption(
      new Option('--preset <name>', 'read the file as this benchmark publishes it').choices(presetNames),
    )
    .option('--videos <dir>', 'rows name videos in or below this folder, with or without the ending')
    .option('--local', 'answer here, without Redis and a worker')
    .option(
      '--in-flight <n>',
      'jobs under way at once (default: 4; with --local 1, each more is a model process of its own)',
      wholeNumber,
    )
    .option(
      '--priority <n>',
      `jobs of a lower number are taken first, and those of other commands before them all (default: ${defaultPriority})`,
      wholeNumber,
    )
    .option('--deadline <seconds>', 'how long a job may take, if less than the worker allows', decimal)
    .option(
      '--id-field <name>',
      'the field that names rows: rows are then known by it and by all that they hold, and no two may have the same',
    )
    .option('--limit <n>', 'answer only the first n rows', wholeNumber)
    .option(
      '--shard <i/n>',
      'answer only part i of n; rows that name one video are in one part, the same on every machine',
      shard,
    )
    .option(
      '--only <id>',
      'answer only the row of this id, or of this number from 1; may be repeated; with --debug its job and the whole document of its result go to standard error, unless it was answered before',
      collect,
    )
    .option('--keep-failed', 'leave rows alone that failed before')
    .option('--retry-failed', 'ask only rows that failed before')
    .option('--replace', 'drop rows of --out that are not in the file any more')
    .option(
      '--run-id <id>',
      'the `run` among the tags of the jobs (default: a new one, kept beside --out)',
      runId,
    )
    .option('--tag <name=value>', 'a tag of the jobs, besides `run`; may be repeated', tag);
}

/** What the jobs of a run say besides what is asked: whose they are, when they are taken, how long they may take. */
export function dispatchOf({ tag, priority, deadline }: BatchOptions, run: string) {
  return {
    tags: { ...tag, run },
    priority: priority ?? defaultPriority,
    ...(deadline !== undefined && { deadlineMs: Math.ceil(deadline * 1000) }),
  };
}

function checked<T>(parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text);
    } catch (error) {
      throw new InvalidArgumentError(messageOf(error));
    }
  };
}

function shard(text: string): Choice['shard'] {
  const [, part = 0, count = 0] = (/^(\d+)\/(\d+)$/.exec(text) ?? []).map(Number);
  if (part >= 1 && part <= count) return { part, count };
  throw new InvalidArgumentError(`expected a part and the number of parts, such as 1/4, got "${text}"`);
}

function runId(text: string): string {
  if (runIdRule.test(text)) return text;
  throw new InvalidArgumentError(`expected up to 128 letters, digits, ". _ -", got "${text}"`);
}

function tag(text: string, previous: Record<string, string> = {}): Record<string, string> {
  const [, name = '', value = ''] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  const tags = { ...previous, [name]: value };
  const refuse = (why: string) => new InvalidArgumentError(`${why}, got "${text}"`);
  if (name === 'run') throw refuse('--run-id sets the tag `run`');
  if (Object.keys(tags).length > mostTags) throw refuse(`expected up to ${mostTags} tags besides \`run\``);
  const parsed = tagsSchema.safeParse(tags);
  if (!parsed.success) throw refuse('expected name=value, with up to 256 characters of value');
  return parsed.data;
}
