import type { AskedQuestion, AskJob, Result } from '../../../queues/schemas.js';

export function questionText(question: AskedQuestion): string {
  return typeof question === 'string' ? question : question.question;
}

/** "none", "auto" or "6 dominant + 4 contextual a frame". */
export function compressionText(compression: AskJob['compression']): string {
  if (typeof compression === 'string') return compression;
  return `${compression.dominant} dominant + ${compression.contextual} contextual a frame`;
}

/** Fields of a settings object in a line: "frames 8, method uniform". */
export function settingsText(settings: object | undefined): string {
  const fields = Object.entries(settings ?? {}).filter(([, value]) => value !== undefined);
  if (fields.length === 0) return 'default';
  return fields.map(([name, value]) => `${spaced(name)} ${textOf(value)}`).join(', ');
}

function textOf(value: unknown): string {
  return Array.isArray(value) ? value.map((item) => JSON.stringify(item)).join(' ') : String(value);
}

/** "firstTokenMs" as "first token". */
export function spaced(name: string): string {
  return name
    .replace(/Ms$/, '')
    .replace(/([A-Z])/g, ' $1')
    .toLowerCase();
}

/** The stages in the order in which they are run, but for the wait in the queue. Together at most `totalMs`. */
export const stages = [
  'probeMs',
  'chooseMs',
  'decodeMs',
  'preprocessMs',
  'encodeMs',
  'compressMs',
  'projectMs',
  'prefillMs',
  'generateMs',
] as const satisfies readonly (keyof Result['timings'])[];

type StageName = keyof NonNullable<Result['timings']['spans']>;

export interface StageSpan {
  readonly name: string;
  /** When it was first and last busy, in milliseconds since the job was begun. */
  readonly startMs: number;
  readonly endMs: number;
  /** How long it was busy in between. */
  readonly ms: number;
}

/** When each stage was busy. Where a worker did not say when, they are put one behind the other; what is left comes last. */
export function stageSpans(timings: Result['timings']): StageSpan[] {
  const spans: StageSpan[] = [];
  let sum = 0;
  for (const stage of stages) {
    const ms = timings[stage];
    const said = timings.spans?.[stage.replace(/Ms$/, '') as StageName];
    const [startMs, endMs] = said ?? [sum, sum + ms];
    if (ms >= 0.5) spans.push({ name: spaced(stage), startMs, endMs, ms });
    sum += ms;
  }
  const rest = timings.totalMs - sum;
  const isSaid = timings.spans !== undefined;
  if (rest >= 0.5 && !isSaid) spans.push({ name: 'other', startMs: sum, endMs: sum + rest, ms: rest });
  return spans;
}

/** How likely the model held the answer that it gave; null where nobody said. */
export function likelihoodOf({ choice, likelihood }: Result['answers'][number]): number | null {
  return choice?.likelihoods[choice.index] ?? likelihood ?? null;
}

/** How two answers to a video differ, in sentences; the first is the one compared with. */
export function differences(base: Result, other: Result): string[] {
  return [
    answersText(base, other),
    ratioText(base.tokens.after, other.tokens.after, ['fewer', 'more'], 'visual tokens'),
    timeText(base, other),
  ];
}

/** Of questions that both were asked. */
function answersText(base: Result, other: Result): string {
  const asked = base.answers.flatMap((one, i) => {
    const answer = other.answers[i];
    return answer?.question === one.question ? [one.answer === answer.answer] : [];
  });
  if (asked.length === 0) return 'They were asked different questions.';
  const same = asked.filter((isSame) => isSame).length;
  const isAll = asked.length === base.answers.length && asked.length === other.answers.length;
  if (isAll && asked.length === 1) return same === 1 ? 'Same answer.' : 'Another answer.';
  return `${same} of ${asked.length} answers are the same${isAll ? '' : ', of the questions that both were asked'}.`;
}

function timeText(base: Result, other: Result): string {
  if (base.cached || other.cached) return 'An answer was stored before: the times cannot be compared.';
  const isFair = base.reused === 'none' && other.reused === 'none';
  const note = isFair ? '' : ' One of them found the video encoded.';
  return (
    ratioText(base.timings.totalMs, other.timings.totalMs, ['less', 'more'], 'time in the worker') + note
  );
}

function ratioText(base: number, other: number, words: readonly [string, string], noun: string): string {
  if (base <= 0 || other <= 0) return `${noun}: not known.`;
  const ratio = base > other ? base / other : other / base;
  if (ratio < 1.05) return `About as ${noun.startsWith('time') ? 'much' : 'many'} ${noun}.`;
  return `${ratio >= 9.95 ? Math.round(ratio) : ratio.toFixed(1)} × ${base > other ? words[0] : words[1]} ${noun}.`;
}
