import type { AskJob } from '../../../queues/schemas.js';
import type { JobDetail } from './schemas.js';

type Command = JobDetail['commands'][number];

/** The command lines of what a page of a job shows. */
export function commandsOf(id: string, job: AskJob | null, hasEnded: boolean): Command[] {
  const commands: Command[] = [];
  const add = (title: string, ...words: string[]) =>
    commands.push({ title, command: lineOf(['visionzip', ...words]) });
  if (hasEnded) add('Its document', 'result', id, '--json');
  else add('Wait for its answer', 'result', id, '--wait');
  if (!hasEnded) add('Cancel it', 'cancel', id);
  const asked = job && questionsOf(job);
  if (!job || !asked) return commands;
  const options = [...optionsOf(job), ...asked.options];
  const positions = positionsOf(job.video, ...asked.questions);
  add('Ask it here, without the queue', 'ask', ...options, ...positions);
  add('Ask it anew through the queue', 'enqueue', ...options, '--follow', ...positions);
  add('Draw what the model sees', 'ask', ...options, '--save-frames', 'pictures', ...positions);
  add(
    'Plan its frames and tokens',
    'plan',
    ...optionsOf(job),
    ...positionsOf(job.video, asked.questions[0]!),
  );
  return commands;
}

/** Null where the command line has no words for it: a history, or questions with options of their own. */
function questionsOf({ questions, history }: AskJob): { questions: string[]; options: string[] } | null {
  if (history && history.length > 0) return null;
  const texts = questions.map((asked) => (typeof asked === 'string' ? asked : asked.question));
  const options = questions.map((asked) => (typeof asked === 'string' ? [] : asked.options));
  const [first = []] = options;
  const isSame = options.every((own) => JSON.stringify(own) === JSON.stringify(first));
  const isShown = questions.some((asked) => typeof asked !== 'string' && asked.showsOptions);
  return isSame && !isShown
    ? { questions: texts, options: first.flatMap((text) => option('option', text)) }
    : null;
}

function optionsOf({ sampling, compression, overTime, generation, model, strict }: AskJob): string[] {
  const named: [string, string | number | undefined][] = [
    ['model', model],
    ['frames', sampling.frames],
    ['fps', sampling.fps],
    ['max-frames', sampling.maxFrames],
    ['sampling', sampling.method],
    ['start', sampling.startSeconds],
    ['end', sampling.endSeconds],
    ['compression', compressionOf(compression)],
    ['over-time', overTime && overTimeOf(overTime)],
    ['generation', generation.defaults],
    ['max-new-tokens', generation.maxNewTokens],
    ['temperature', generation.temperature],
    ['top-k', generation.topK],
    ['top-p', generation.topP],
    ['repetition-penalty', generation.repetitionPenalty],
    ['seed', generation.seed],
    ...(generation.stop ?? []).map((text): [string, string] => ['stop', text]),
  ];
  const options = named.flatMap(([name, value]) => (value === undefined ? [] : option(name, String(value))));
  return strict ? [...options, '--strict'] : options;
}

function compressionOf(compression: AskJob['compression']): string | undefined {
  if (compression === 'auto') return undefined;
  return compression === 'none' ? compression : `${compression.dominant}+${compression.contextual}`;
}

function overTimeOf(overTime: NonNullable<AskJob['overTime']>): string | undefined {
  const stages = Object.entries(overTime).map(([stage, choice]) => `${stage}=${choice}`);
  return stages.length === 0 ? undefined : stages.join(',');
}

/** A value that begins with a dash would else be an option. */
function option(name: string, value: string): string[] {
  return value.startsWith('-') ? [`--${name}=${value}`] : [`--${name}`, value];
}

function positionsOf(...positions: string[]): string[] {
  return positions.some((position) => position.startsWith('-')) ? ['--', ...positions] : positions;
}

export function lineOf(words: readonly string[]): string {
  return words.map(quoteForShell).join(' ');
}

/** A word for bash and zsh, whatever is in it. What a terminal would act on when it is pasted is written as an escape. */
function quoteForShell(word: string): string {
  if (/^[A-Za-z0-9_@%+=:,./-]+$/.test(word)) return word;
  const text = word.replaceAll('\0', '');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it is about.
  if (!/[\u0001-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/.test(text)) {
    return `'${text.replaceAll("'", "'\\''")}'`;
  }
  return `$'${text.replace(/[\\']/g, '\\$&').replace(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the same.
    /[\u0001-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )}'`;
}
