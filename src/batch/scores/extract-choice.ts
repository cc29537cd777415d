import { bareOptions, letterOf } from '../../pipeline/questions.js';
import { normaliseAnswer } from './normalise-answer.js';

/** Characters that are read: more than an answer of 4,096 tokens has. */
const longest = 20_000;

/**
 * Which option a free answer chooses, as its index; null where it chooses none, or more than one. In this order: the whole answer is a
 * letter or an option; a letter is stated ("the answer is B"); an option is named ("option B"); it begins with a letter ("B) red"); one
 * letter stands in brackets; the text of one option stands in it; one letter stands alone. An "A" or "I" with a word behind it is taken
 * for a word. What is rejected ("not B", "A is wrong") is chosen by no rule.
 */
export function extractChoice(text: string, options: readonly string[]): number | null {
  const answer = text
    .slice(0, longest)
    .replace(/[*`]+/g, '')
    .replace(/\\boxed\{([^{}]*)\}/g, '($1)')
    .trim();
  const bare = bareOptions(options);
  const whole = readWhole(answer, bare);
  if (whole !== null) return whole;
  const kept = withoutRejected(answer);
  for (const rule of [readStated, readNamed, readBeginning, readBrackets, readMention, readAlone]) {
    const found = rule(kept, bare);
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

/** A letter, perhaps in brackets or quotes. */
const quotedLetter = String.raw`(?<![\p{L}\p{N}'’])[(["']?[A-Z](?![\p{L}\p{N}'’])[)\]"']?`;
const denial = String.raw`\b(?:[Nn](?:ot|or|either|ever)|[Cc]annot|\w+n['’]t|[Rr]ather\s+than|[Ii]nstead\s+of)`;
const between =
  "(?:be|is|it|it['’]s|that|think|believe|quite|really|choose|select|pick|the|right|correct|answer|[Oo]ptions?|choice)";
/** "not B", "isn't option B", "neither A nor B". */
const denied = new RegExp(
  String.raw`(?=${quotedLetter})(?<=${denial}\s+(?:${between}\s+)*)${quotedLetter}(?:\s+(?:n?or|and)\s+${quotedLetter})?`,
  'gu',
);
const unlike = String.raw`(?:right|correct|it|the\s+(?:(?:right|correct|best)\s+)?(?:answer|option|choice|one))\b`;
const fault = String.raw`(?:wrong|incorrect|false|not\s+${unlike})`;
/** "A is wrong", "(A) isn't right", "Options A, B and C are incorrect". */
const refuted = new RegExp(
  String.raw`(?=${quotedLetter})(?:(?<=\b(?:[Oo]ptions|[Cc]hoices)\s+)(?:${quotedLetter},\s+)*)?(?:${quotedLetter},?\s+(?:and|or)\s+)?${quotedLetter}` +
    String.raw`(?=\s+(?:cannot\s+be|can['’]t\s+be|(?:is|are|was|were|would\s+be)(?:\s+\w+ly)?\s+${fault}|(?:is|are|was|were)n['’]t\s+${unlike}))`,
  'gu',
);

/** The text with "…" for letters that are rejected. */
function withoutRejected(text: string): string {
  return [denied, refuted].reduce(
    (rest, rejected) =>
      rest.replace(rejected, (found, at: number) =>
        found.length === 1 && isWord(found, rest.slice(at + 1)) ? found : '…',
      ),
    text,
  );
}

/** What comes in front of a letter that is chosen. */
const statement =
  /\b(?:(?:answer|option|choice)\s+(?:is|was|would\s+be|should\s+be|must\s+be)|answer|choose|select|pick)\s*:?\s*(?:option\s+)?/gi;
const naming = /\b(?:option|choice)\s*:?\s*/gi;

function readStated(text: string, options: readonly string[]): number | null {
  return readBehind(statement, text, options);
}

function readNamed(text: string, options: readonly string[]): number | null {
  return readBehind(naming, text, options);
}

/** The last letter behind such words: who corrects himself does so at the end. */
function readBehind(words: RegExp, text: string, options: readonly string[]): number | null {
  const stated = [...text.matchAll(words)].flatMap(({ index, 0: lead }) => {
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

/** As the words that follow what is wrong. */
const refutations =
  /^ (?:is|are|was|were|isnt|arent|wasnt|werent)(?: \w+ly)? (?:not )?(?:wrong|incorrect|false|right|correct)(?: |$)/;

/** The one option whose text stands in the answer; "red" does not stand where "dark red" does, nor where it is rejected. */
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
  const meant = longest.filter(
    ({ at, end }) => !denials.test(words.slice(0, at + 1)) && !refutations.test(words.slice(end + 1)),
  );
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
