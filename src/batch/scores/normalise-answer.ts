const numbers = [
  ...[
    'zero',
    'one',
    'two',
    'three',
    'four',
    'five',
    'six',
    'seven',
    'eight',
    'nine',
    'ten',
    'eleven',
    'twelve',
  ],
  ...['thirteen', 'fourteen', 'fifteen', 'sixteen', 'seventeen', 'eighteen', 'nineteen', 'twenty'],
];
const digits = new Map([['none', '0'], ...numbers.map((word, i): [string, string] => [word, String(i)])]);
const articles = new Set(['a', 'an', 'the']);

/**
 * A short answer as it is compared: in lower case, without punctuation and articles, numbers in digits. The rule is that of VQA's
 * evaluation (arXiv 1505.00468 and its vqaEval.py, from memory). Differences: numbers go up to twenty; signs, decimal points and the
 * colons of times stay, but for zeros alone behind a point; apostrophes fall on both sides, in place of its list of contractions; an
 * answer that is an article stays.
 */
export function normaliseAnswer(text: string): string {
  const words = text
    .normalize('NFKC')
    .toLowerCase()
    .replace(/['’]/g, '')
    .replace(/(?<=\d),(?=\d{3})/g, '')
    .replace(/(?<!\d)[.:]|[.:](?!\d)/g, ' ')
    .replace(/(?<![\p{L}\p{N}])-(?=\d)/gu, 'minus')
    .replace(/[^\p{L}\p{M}\p{N}.:]+/gu, ' ')
    .replace(/\bminus(?=\d)/g, '-')
    .split(' ')
    .filter((word) => word !== '')
    .map((word) => digits.get(word) ?? word.replace(/^(-?\d+)\.0+$/, '$1'));
  const telling = words.filter((word) => !articles.has(word));
  return (telling.length > 0 ? telling : words).join(' ');
}
