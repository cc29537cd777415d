import { bareOptions, letterOf, mostOptions } from '../pipeline/questions.js';
import { isObject, parseJson } from './members.js';

/**
 * The options of a row from its columns: lists, a list as JSON or as Python prints it, an object from letters to texts, or a text a
 * column. Undefined where there are none.
 *
 * @throws RangeError for anything else, and for more options than letters.
 */
export function readOptions(values: readonly unknown[]): string[] | undefined {
  const given = values.filter(isGiven);
  if (given.length === 0) return undefined;
  if (given.length > 1) refuseGap(values);
  const options = given.flatMap((value) => (given.length === 1 ? listOf(value) : textOf(value)));
  if (options.length === 0) return undefined;
  if (options.length >= 2 && options.length <= mostOptions) return bareOptions(options);
  throw new RangeError(`the row's options: expected 2 to ${mostOptions}, got ${options.length}`);
}

function isGiven(value: unknown): boolean {
  return value != null && value !== '';
}

/** An answer by letter or number would be taken for the option behind the one that it means. */
function refuseGap(values: readonly unknown[]): void {
  const gap = values.findIndex((value, i) => !isGiven(value) && values.slice(i).some(isGiven));
  if (gap >= 0) throw new RangeError(`the row's options: ${letterOf(gap)} is empty, and others follow it`);
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
  if (Array.isArray(value)) return value.slice(0, value.findLastIndex(isGiven) + 1).map(textOf);
  if (isObject(value)) return byLetter(value).map(textOf);
  const list = typeof value === 'string' ? (parseJson(value) ?? pythonList(value)) : undefined;
  if (Array.isArray(list) || isObject(list)) return listOf(list);
  throw new RangeError(`the row's options: expected a list of texts, got ${JSON.stringify(value)}`);
}

/** Of letters from A on, or numbers from 0: by others an answer could not be told. What is empty at the end is no option. */
function byLetter(options: Record<string, unknown>): unknown[] {
  const names = Object.keys(options).filter((name) => isGiven(options[name]));
  const isNumbered = Object.hasOwn(options, '0');
  const expected = names.map((_, i) => (isNumbered ? String(i) : letterOf(i)));
  const byName = new Map(names.map((name) => [name.toUpperCase(), options[name]]));
  if (!expected.every((name) => byName.has(name)))
    throw new RangeError(`the row's options: expected them by the letters A, B, …, got ${names.join(', ')}`);
  return expected.map((name) => byName.get(name));
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value.trim();
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  throw new RangeError(`the row's options: expected texts, got ${JSON.stringify(value)}`);
}

const pythonText = /'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"/gs;

/** `['a red one', "Tom's"]`, also without commas, as numpy prints it; undefined for what is none, or holds more than texts. */
function pythonList(text: string): string[] | undefined {
  if (!/^\[[\s,]*\]$/.test(text.trim().replace(pythonText, ''))) return undefined;
  return [...text.matchAll(pythonText)].map(([, single, double]) => unescapePython((single ?? double)!));
}

const pythonEscapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' };

function unescapePython(text: string): string {
  return text.replace(
    /\\(?:x([\da-f]{2})|u([\da-f]{4})|U(00[\da-f]{6})|(.))/gs,
    (_, byte?: string, short?: string, long?: string, one = '') => {
      const code = byte ?? short ?? long;
      return code === undefined
        ? (pythonEscapes[one] ?? one)
        : String.fromCodePoint(Number.parseInt(code, 16));
    },
  );
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
