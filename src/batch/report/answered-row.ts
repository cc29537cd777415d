import { nameQuestion } from '../../pipeline/questions.js';
import { stageNames } from '../../pipeline/timings.js';
import { findOptions } from '../choices.js';
import { scoreRow } from '../scores/score-row.js';
import { mostPictures, spread } from './spread.js';

/**
 * What a report wants to know of a row, and the fields in which it is looked for, in this order; the first that is there counts. Before
 * them comes what `batch` read from the row.
 */
export const defaultFields = {
  /** What names a row in two files; default the digest of its line in the questions' file, else video, question and options. */
  id: [],
  answer: ['answer'],
  options: ['options', 'candidates', 'choices'],
  kind: ['kind', 'task_type', 'question_type'],
  category: ['category', 'domain'],
} as const satisfies Readonly<Record<string, readonly string[]>>;

/** Fields that are looked at instead. */
export type FieldNames = Readonly<Partial<Record<keyof typeof defaultFields, readonly string[]>>>;

/** Times that are told of a job, by their names in `run.timings`. */
export const timeNames = ['queueMs', ...stageNames, 'firstTokenMs', 'totalMs'] as const;
export type Times = Readonly<Partial<Record<(typeof timeNames)[number], number>>>;

/** A row of a batch's output, as far as it is reported; texts are cut. */
export interface AnsweredRow {
  /** In its file, from 1. */
  readonly line: number;
  readonly key: string;
  readonly video: string;
  readonly question: string;
  readonly options: readonly string[] | null;
  readonly status: 'completed' | 'failed' | 'cancelled';
  readonly prediction: string | null;
  /** The true answer; null where there is none. */
  readonly answer: string | null;
  /** Null where it cannot be scored. */
  readonly right: boolean | null;
  readonly kind: string | null;
  readonly category: string | null;
  /** Of the option that was chosen. */
  readonly likelihood: number | null;
  readonly error: string | null;
  readonly fault: string | null;
  readonly model: string | null;
  /** Digest of the options of the command that made it. */
  readonly settings: string | null;
  readonly job: string | null;
  /** Answered from what was stored. */
  readonly cached: boolean;
  readonly frames: number | null;
  /** Times of some of these frames, the first and the last among them; null where the row does not say them. */
  readonly ptsSeconds: readonly number[] | null;
  readonly tokens: { readonly before: number; readonly after: number } | null;
  readonly times: Times | null;
}

type Fields = Readonly<Record<string, unknown>>;

/** Reads what a line of answers says; null where it is none: it has neither a prediction nor a status. */
export function readRow(line: number, fields: Fields, names: FieldNames = {}): AnsweredRow | null {
  const { prediction = null, status } = fields;
  if (typeof prediction !== 'string' && prediction !== null) return null;
  const isKnown = status === 'completed' || status === 'failed' || status === 'cancelled';
  if (!isKnown && prediction === null) return null;
  const run = objectOf(fields.run);
  const batch = objectOf(fields.batch);
  const look = (name: keyof FieldNames) =>
    names[name] ? pick(fields, names[name]) : (batch[name] ?? pick(fields, defaultFields[name]));
  const answer = look('answer');
  const given = look('options') ?? run.options;
  const options = findOptions(given);
  // With its options `batch` writes the answer as a letter of theirs.
  const answerIs = batch.options != null && answer === batch.answer ? 'letter' : undefined;
  return {
    ...{ line, key: keyOf(fields, names, options), options: options?.map(cut) ?? null },
    video: cut(textOf(batch.video ?? fields.video) ?? ''),
    question: cut(textOf(batch.question ?? fields.question) ?? ''),
    ...{ status: isKnown ? status : 'completed', prediction: prediction && cut(prediction) },
    ...{ answer: describeAnswer(answer), right: scoreRow({ prediction, answer, options: given, answerIs }) },
    ...{ kind: cutOrNull(textOf(look('kind'))), category: cutOrNull(textOf(look('category'))) },
    likelihood: likelihoodOf(objectOf(run.choice)),
    ...{ error: cutOrNull(textOf(fields.error)), fault: textOf(fields.fault ?? run.fault) },
    ...{ model: textOf(objectOf(run.model).name), settings: textOf(batch.settings), job: textOf(run.job) },
    ...{ cached: run.cached === true, frames: numberOf(run.frames) },
    ptsSeconds: timesOfFrames(run.ptsSeconds),
    ...{ tokens: tokensOf(objectOf(run.tokens)), times: timesOf(run.timings) },
  };
}

function keyOf(
  fields: Fields,
  { id = defaultFields.id }: FieldNames,
  options: readonly string[] | null,
): string {
  const named = pick(fields, id);
  if (named !== undefined) return JSON.stringify(named);
  const { hash } = objectOf(fields.batch);
  if (typeof hash === 'string') return hash;
  const question = { question: textOf(fields.question) ?? '', ...(options && { options }) };
  return JSON.stringify([fields.video, nameQuestion(question), fields.start, fields.end]);
}

function pick(fields: Fields, names: readonly string[]): unknown {
  return names.map((name) => fields[name]).find((value) => value !== undefined && value !== null);
}

function describeAnswer(answer: unknown): string | null {
  const texts = (Array.isArray(answer) ? answer : [answer]).map(textOf).filter((text) => text !== null);
  return texts.length === 0 ? null : cut([...new Set(texts)].join(' / '));
}

function likelihoodOf({ likelihoods, index }: Fields): number | null {
  return Array.isArray(likelihoods) && typeof index === 'number' ? numberOf(likelihoods[index]) : null;
}

function timesOfFrames(value: unknown): number[] | null {
  const times = Array.isArray(value) ? value.filter((time) => typeof time === 'number' && time >= 0) : [];
  return times.length === 0 ? null : spread(times, mostPictures);
}

function tokensOf({ before, after }: Fields): AnsweredRow['tokens'] {
  return typeof before === 'number' && typeof after === 'number' ? { before, after } : null;
}

function timesOf(timings: unknown): Times | null {
  const times = objectOf(timings);
  const known = timeNames.flatMap((name) => (numberOf(times[name]) === null ? [] : [[name, times[name]]]));
  return known.length === 0 ? null : Object.fromEntries(known);
}

/** An object with no fields for what is none. */
export function objectOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {};
}

function numberOf(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

function textOf(value: unknown): string | null {
  return ['string', 'number', 'boolean'].includes(typeof value) ? String(value) : null;
}

const longest = 400;

function cut(text: string): string {
  return text.length <= longest ? text : `${text.slice(0, longest - 1)}…`;
}

function cutOrNull(text: string | null): string | null {
  return text === null ? null : cut(text);
}
