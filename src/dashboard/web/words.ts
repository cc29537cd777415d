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

export interface StageSpan {
  readonly name: string;
  readonly startMs: number;
  readonly ms: number;
}

/** One behind the other; what is left of the whole comes last. Stages that took no time are left out. */
export function stageSpans(timings: Result['timings']): StageSpan[] {
  const spans: StageSpan[] = [];
  let startMs = 0;
  for (const stage of stages) {
    const ms = timings[stage];
    if (ms >= 0.5) spans.push({ name: spaced(stage), startMs, ms });
    startMs += ms;
  }
  const rest = timings.totalMs - startMs;
  if (rest >= 0.5) spans.push({ name: 'other', startMs, ms: rest });
  return spans;
}

/** The likelihood of the answer that was given, where there were options. */
export function likelihoodOf({ choice }: Result['answers'][number]): number | null {
  return choice?.likelihoods[choice.index] ?? null;
}

/** How two answers to a video differ, in sentences; the first is the one compared with. */
export function differences(base: Result, other: Result): string[] {
  const same = base.answers.filter(({ answer }, i) => answer === other.answers[i]?.answer).length;
  const of = base.answers.length;
  const answers = same === of ? 'Same answer.' : 'Another answer.';
  return [
    of === 1 ? answers : `${same} of ${of} answers are the same.`,
    ratioText(base.tokens.after, other.tokens.after, ['fewer', 'more'], 'visual tokens'),
    timeText(base, other),
  ];
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
