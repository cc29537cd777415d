import { bareOptions, letterOf, mostOptions } from '../pipeline/questions.js';
import { isObject, parseJson } from './members.js';

/**
 * The options of a row from its columns: lists, a list as JSON or as Python prints it, an object from letters to texts, or a text a
 * column. Undefined where there are none.
 *
 * @throws RangeError for anything else, and for more options than letters.
 */
export function readOptions(values: readonly unknown[]): string[] | undefined {
  const given = values.filter((value) => value != null && value !== '');
  if (given.length === 0) return undefined;
  const options = given.flatMap((value) => (given.length === 1 ? listOf(value) : textOf(value)));
  if (options.length === 0) return undefined;
  if (options.length >= 2 && options.length <= mostOptions) return bareOptions(options);
  throw new RangeError(`the row's options: expected 2 to ${mostOptions}, got ${options.length}`);
}

/** The options that one value holds; null where it holds none. */
export function findOptions(value: unknown): string[] | null {
  try {
    return readOptions([value]) ?? null;
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

function listOf(value: unknown): string[] {
  if (Array.isArray(value)) return value.map(textOf);
  if (isObject(value)) return byLetter(value).map(textOf);
  const list = typeof value === 'string' ? (parseJson(value) ?? pythonList(value)) : undefined;
  if (Array.isArray(list)) return list.map(textOf);
  if (isObject(list)) return byLetter(list).map(textOf);
  throw new RangeError(`the row's options: expected a list of texts, got ${JSON.stringify(value)}`);
}

function byLetter(options: Record<string, unknown>): unknown[] {
  return Object.keys(options)
    .sort()
    .map((letter) => options[letter]);
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value.trim();
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  throw new RangeError(`the row's options: expected texts, got ${JSON.stringify(value)}`);
}

/** `['a red one', "Tom's"]`, also without commas, as numpy prints it; undefined for what is none. */
function pythonList(text: string): string[] | undefined {
  if (!/^\[[\s\S]*\]$/.test(text.trim())) return undefined;
  const quoted = [...text.matchAll(/'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"/g)];
  return quoted.map(([, single, double]) => (single ?? double)!.replace(/\\(.)/g, '$1'));
}

/** How a row gives its right option: by letter, by number from 0 (by its text, too, where that is no number), or by its text. */
export type AnswerForm = 'letter' | 'index' | 'text';

/** The right answer as text, yes or no for a boolean, a list where each of several is right; of a row with options letters, where they can be told. */
export function readAnswer(
  value: unknown,
  options: readonly string[] | undefined,
  form?: AnswerForm,
): string | string[] | undefined {
  if (!Array.isArray(value)) return readOne(value, options, form);
  const answers = value.map((one) => readOne(one, options, form)).filter((one) => one !== undefined);
  return answers.length > 0 ? [...new Set(answers)] : undefined;
}

function readOne(value: unknown, options: readonly string[] = [], form?: AnswerForm): string | undefined {
  if (typeof value === 'boolean' && !options.includes(String(value)))
    return readOne(value ? 'yes' : 'no', options, form);
  if (!['string', 'number', 'boolean'].includes(typeof value)) return undefined;
  const text = String(value).trim();
  if (text === '') return undefined;
  if (options.length === 0) return text;
  if (form === 'index' && /^\d+$/.test(text) && Number(text) < options.length) return letterOf(Number(text));
  const place = form === 'letter' ? -1 : options.indexOf(text);
  if (place >= 0) return letterOf(place);
  const letter = /^\(?([A-Z])[.):]?$/i.exec(text)?.[1]?.toUpperCase();
  const isThere = letter !== undefined && options.some((_, i) => letterOf(i) === letter);
  return isThere ? letter : text;
}
