/** How much of a job's questions, and of its answers, is searched, in characters. */
const searchedCharacters = 4_000;

/** Stands between the parts of a haystack, and nowhere else in it. */
const border = '\0';

export type HaystackPart = 'id' | 'video' | 'questions' | 'answers' | 'error';
const parts: readonly HaystackPart[] = ['id', 'video', 'questions', 'answers', 'error'];

interface Texts {
  readonly id: string;
  readonly video: string;
  readonly questions: readonly string[];
  readonly answers: readonly string[];
  readonly error: string | null;
}

/** All that is searched of a job, in one text. */
export function haystackOf({ id, video, questions, answers, error }: Texts): string {
  const long = (texts: readonly string[]) => texts.join('\n').slice(0, searchedCharacters);
  const texts = [id, video, long(questions), long(answers), error ?? ''];
  return texts.map((text) => fold(text).replaceAll(border, ' ')).join(border);
}

/** The words that someone looks for, each once, as a haystack has it. */
export function wordsOf(text: string): string[] {
  const words = fold(text).replaceAll(border, ' ').split(/\s+/);
  return [...new Set(words)].filter((word) => word !== '');
}

export function hasWords(haystack: string, words: readonly string[]): boolean {
  return words.every((word) => haystack.includes(word));
}

/** Whether one part of a haystack has all the words. */
export function partHasWords(haystack: string, part: HaystackPart, words: readonly string[]): boolean {
  // Most jobs are out before their text is taken apart.
  return hasWords(haystack, words) && hasWords(partOf(haystack, parts.indexOf(part)), words);
}

/** Only the one that is looked for is cut out: that of each of 200,000 jobs is. */
function partOf(haystack: string, place: number): string {
  let start = 0;
  for (let i = 0; i < place; i += 1) start = haystack.indexOf(border, start) + 1;
  const end = haystack.indexOf(border, start);
  return haystack.slice(start, end === -1 ? undefined : end);
}

/** Letters are alike whatever their case, and however their accents are written. */
function fold(text: string): string {
  return text.normalize('NFC').toLowerCase();
}
