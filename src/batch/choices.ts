import { isObject, parseJson } from './members.js';

const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';

export function letterOf(place: number): string {
  return letters[place]!;
}

/**
 * The options of a row from its columns: lists, a list as JSON or as Python prints it, or a text a column. Undefined where there are none.
 *
 * @throws RangeError for anything else, and for more options than letters.
 */
export function readOptions(values: readonly unknown[]): string[] | undefined {
  const given = values.filter((value) => value != null && value !== '');
  if (given.length === 0) return undefined;
  const options = given.flatMap((value) => (given.length === 1 ? listOf(value) : textOf(value)));
  if (options.length === 0) return undefined;
  if (options.length >= 2 && options.length <= letters.length) return withoutLetters(options);
  throw new RangeError(`the row's options: expected 2 to ${letters.length}, got ${options.length}`);
}

function listOf(value: unknown): string[] {
  if (Array.isArray(value)) return value.map(textOf);
  if (isObject(value)) return Object.values(value).map(textOf);
  const list = typeof value === 'string' ? (parseJson(value) ?? pythonList(value)) : undefined;
  if (Array.isArray(list)) return list.map(textOf);
  throw new RangeError(`the row's options: expected a list of texts, got ${JSON.stringify(value)}`);
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

/** `A. red`, `(B) blue`: where all begin with their letter, it is left out. */
function withoutLetters(options: readonly string[]): string[] {
  const bare = options.map((option, i) => {
    const [head, letter] = /^\(?([A-Z])[.):]\s*/.exec(option) ?? [];
    return letter === letterOf(i) ? option.slice(head!.length) : null;
  });
  return bare.every((option) => option !== null) ? bare : [...options];
}

/** How a row gives its right option: by letter, by number from 0 (by its text, too, where that is no number), or by its text. */
export type AnswerForm = 'letter' | 'index' | 'text';

/** The right answer as text; of a row with options its letter, where it can be told. */
export function readAnswer(
  value: unknown,
  options: readonly string[] | undefined,
  form?: AnswerForm,
): string | undefined {
  if (value == null || value === '') return undefined;
  const text = typeof value === 'string' ? value.trim() : JSON.stringify(value);
  if (!options) return text;
  if (form === 'index' && /^\d+$/.test(text)) return letters[Number(text)];
  const place = form === 'letter' ? -1 : options.indexOf(text);
  if (place >= 0) return letterOf(place);
  const letter = /^\(?([A-Z])[.):]?$/i.exec(text)?.[1]?.toUpperCase();
  return letter && letters.indexOf(letter) < options.length ? letter : text;
}
