import { bareOptions, letterOf } from '../../pipeline/questions.js';
import { normaliseAnswer } from './normalise-answer.js';

/** Characters that are read: more than an answer of 4,096 tokens has. */
const longest = 20_000;

/**
 * Which option a free answer chooses, as its index; null where it chooses none, or more than one. In this order: the whole answer is a
 * letter or an option; a letter is stated ("the answer is B"); it begins with a letter ("B) red"); one letter stands in brackets; the
 * text of one option stands in it; one letter stands alone. An "A" or "I" with a word behind it is taken for a word.
 */
export function extractChoice(text: string, options: readonly string[]): number | null {
  const answer = text
    .slice(0, longest)
    .replace(/[*`]+/g, '')
    .replace(/\\boxed\{([^{}]*)\}/g, '($1)')
    .trim();
  const bare = bareOptions(options);
  for (const rule of [readWhole, readStated, readBeginning, readBrackets, readMention, readAlone]) {
    const found = rule(answer, bare);
    if (found !== null) return found;
  }
  return null;
}

/** A letter in whatever punctuation, as its index; null for other texts and for letters that no option has. */
function readLetter(text: string, count: number): number | null {
  const [, letter] = /^[\s("'[]*([A-Za-z])[\s)"'\].:,;!]*$/.exec(text) ?? [];
  return letter === undefined ? null : indexOf(letter, count);
}

/** The option with this text, case, punctuation and articles aside; null where several have it. */
export function findOption(text: string, options: readonly string[]): number | null {
  const exact = options.indexOf(text.trim());
  if (exact >= 0 && options.lastIndexOf(text.trim()) === exact) return exact;
  const wanted = normaliseAnswer(text);
  const same = [...options.keys()].filter((i) => normaliseAnswer(options[i]!) === wanted);
  return same.length === 1 && wanted !== '' ? same[0]! : null;
}

/** A letter, an option, or both. */
export function readWhole(text: string, options: readonly string[]): number | null {
  const whole = readLetter(text, options.length) ?? findOption(text, options);
  if (whole !== null) return whole;
  // "B red" and "B. red", and not "A blue" where A is red.
  const [, letter, rest] = /^\(?([A-Za-z])[).:,]*\s+(\S[\s\S]*)$/.exec(text) ?? [];
  const index = letter === undefined ? null : indexOf(letter, options.length);
  return index !== null && findOption(rest!, options) === index ? index : null;
}

const statement =
  /\b(?:(?:answer|option|choice)(?:\s+(?:is|was|would\s+be|should\s+be|must\s+be))?|choose|select|pick)\s*:?\s*(?:option\s+)?/gi;

/** The last letter that is stated: who corrects himself does so at the end. */
function readStated(text: string, options: readonly string[]): number | null {
  const stated = [...text.matchAll(statement)].flatMap(({ index, 0: lead }) => {
    const behind = text.slice(index + lead.length);
    const [, inBrackets, bare] =
      /^(?:[([]([A-Za-z])[)\]]|["']?([A-Z](?![\p{L}\p{N}'’])|[a-z](?=["']?[.)]?\s*$)))/u.exec(behind) ?? [];
    const letter = inBrackets ?? bare;
    if (letter === undefined) return [];
    if (inBrackets === undefined && isWord(letter, behind.slice(1))) return [];
    return indexOf(letter, options.length) ?? [];
  });
  return stated.at(-1) ?? null;
}

function readBeginning(text: string, options: readonly string[]): number | null {
  if (new Set(bracketed(text)).size > 1) return null;
  const [, letter] = /^\(?([A-Za-z])(?:\)[.:]?|[.:])(?=\s|$)|^([A-Z])\s*\n/.exec(text)?.filter(Boolean) ?? [];
  return letter === undefined ? null : indexOf(letter, options.length);
}

function readBrackets(text: string, options: readonly string[]): number | null {
  return onlyOne(bracketed(text).map((letter) => indexOf(letter, options.length)));
}

function bracketed(text: string): string[] {
  return [...text.matchAll(/[([]([A-Z])[)\]]/g)].map(([, letter]) => letter!);
}

/** As the words that precede what is denied. */
const denials = /(?:^| )(?:not|no|nor|never|neither|isnt|arent|wasnt|werent)(?: (?:quite|really))? $/;

/** The one option whose text stands in the answer; "red" does not stand where "dark red" does, nor behind "not". */
function readMention(text: string, options: readonly string[]): number | null {
  const words = ` ${normaliseAnswer(text)} `;
  const mentions = options.flatMap((option, index) => {
    const wanted = normaliseAnswer(option);
    return wanted === ''
      ? []
      : findAll(words, ` ${wanted} `).map((at) => ({ index, at, end: at + wanted.length }));
  });
  const longest = mentions.filter(
    ({ at, end }) =>
      !mentions.some((other) => other.at <= at && other.end >= end && other.end - other.at > end - at),
  );
  const meant = longest.filter(({ at }) => !denials.test(words.slice(0, at + 1)));
  return onlyOne(meant.map(({ index }) => index));
}

function readAlone(text: string, options: readonly string[]): number | null {
  const alone = [...text.matchAll(/(?<![\p{L}\p{N}'’])([A-Z])(?![\p{L}\p{N}'’])/gu)];
  const letters = alone.filter(({ index, 0: letter }) => !isWord(letter, text.slice(index + 1)));
  return onlyOne(letters.map(([letter]) => indexOf(letter, options.length)));
}

/** Whether an A or I begins what follows: "A red ball", and not "A because" or "A." */
function isWord(letter: string, behind: string): boolean {
  if (!/[AI]/i.test(letter) || !/^\s+\p{L}/u.test(behind)) return false;
  return !/^\s+(?:as|and|because|for|is|or|since|which|with)\b/i.test(behind);
}

function indexOf(letter: string, count: number): number | null {
  const index = Array.from({ length: count }, (_, i) => letterOf(i)).indexOf(letter.toUpperCase());
  return index < 0 ? null : index;
}

function onlyOne(found: readonly (number | null)[]): number | null {
  const distinct = new Set(found.filter((index) => index !== null));
  return distinct.size === 1 ? [...distinct][0]! : null;
}

function findAll(text: string, wanted: string): number[] {
  const places: number[] = [];
  for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + 1)) places.push(at);
  return places;
}
