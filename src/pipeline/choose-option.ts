import { InputError } from '../errors.js';
import type { KvCache, Model } from '../models/types.js';
import type { AskedQuestion, GenerateEvent } from './generate.js';
import { letterOf } from './questions.js';
import { argmax } from './sampler.js';
import type { Answer } from './types.js';

type Chooser = {
  readonly language: Pick<Model['language'], 'embed' | 'forward'>;
  readonly chat: Pick<Model['chat'], 'tokenize'>;
};

/** A question as it stands behind the video, and the options among which the answer is. */
export interface AskedChoice extends Pick<AskedQuestion, 'question' | 'suffix'> {
  readonly options: readonly string[];
}

/** Where the model stands: what it thinks comes next, and what it has read. */
interface State {
  /** (V). */
  readonly logits: Float32Array;
  readonly cache: KvCache;
}

/**
 * Answers a question by the letter of an option and by nothing else: the likeliest, a tie going to the lower. The likelihood of each
 * is its probability as the next text, shared out among the letters. Where letters are single tokens that takes one forward run, of
 * the suffix. Settings of generation have no say: nothing is sampled, and no token is penalised for standing among the options.
 *
 * The cache of the video is not changed. Stops between runs of the decoder when aborted, with the signal's reason.
 *
 * @throws InputError (fault `model`) where the model gives no likelihoods, since its logits are no numbers.
 */
export async function* chooseOption(
  { language, chat }: Chooser,
  { question, options, suffix }: AskedChoice,
  video: KvCache,
  { signal }: { readonly signal?: AbortSignal },
): AsyncGenerator<GenerateEvent> {
  signal?.throwIfAborted();
  const started = performance.now();
  const read = async (ids: readonly number[], past: KvCache) =>
    language.forward({ embeds: await language.embed(ids), S: ids.length }, past);
  const state = await read(suffix, video);
  const prefillMs = performance.now() - started;
  signal?.throwIfAborted();
  yield { type: 'firstToken' };
  const spellings = spellLetters(chat, options.length);
  const logs = await scoreTexts(read, state, spellings.flat(), signal);
  // A letter in two spellings is as likely as both together.
  const likelihoods = softmax(
    options.map((_, i) => logSumExp(spellings.map((_, which) => logs[which * options.length + i]!))),
  );
  const index = argmax(likelihoods);
  const letter = letterOf(index);
  yield { type: 'text', text: letter };
  const answer: Answer = {
    ...{ question, options, answer: letter, choice: { letter, index, likelihoods: [...likelihoods] } },
    ...{ finishReason: 'stop', newTokens: 1, promptTokens: video.length + suffix.length, prefillMs },
    generateMs: performance.now() - started - prefillMs,
  };
  yield { type: 'answer', answer };
}

/**
 * The tokens of each letter, "A" and " A": those of the two spellings in which each is one token, else of both. A spelling that only
 * some letters have as one token would favour these.
 */
export function spellLetters({ tokenize }: Chooser['chat'], count: number): number[][][] {
  const letters = Array.from({ length: count }, (_, i) => letterOf(i));
  const bare = letters.map((letter) => continueWith(tokenize, letter));
  const spaced = letters.map((letter) => continueWith(tokenize, ` ${letter}`));
  const distinct = JSON.stringify(bare) === JSON.stringify(spaced) ? [bare] : [bare, spaced];
  const single = distinct.filter((spelling) => spelling.every(({ length }) => length === 1));
  return single.length > 0 ? single : distinct;
}

/**
 * The tokens of a text inside a text, where a tokenizer puts no token or space of its own before it. It is put behind a line feed,
 * which tokenizers keep apart from letters; where one does not, it is taken as it stands alone.
 */
function continueWith(tokenize: Chooser['chat']['tokenize'], text: string): number[] {
  for (const before of ['\n', '']) {
    const head = tokenize(before);
    const whole = tokenize(before + text);
    const rest = whole.slice(head.length);
    if (rest.length > 0 && head.every((id, i) => id === whole[i])) return rest;
  }
  return tokenize(text);
}

/**
 * The log probability of each text, given as tokens, as what comes next: the sum over its tokens. Texts that begin alike are read
 * together; each run of the decoder goes on from a cache that stays as it was.
 */
export async function scoreTexts(
  read: (ids: readonly number[], past: KvCache) => Promise<State>,
  { logits, cache }: State,
  texts: readonly (readonly number[])[],
  signal?: AbortSignal,
): Promise<number[]> {
  const total = logSumExp(logits);
  const logs = texts.map((text) => (text.length === 0 ? 0 : logits[text[0]!]! - total));
  const longer = [...texts.keys()].filter((i) => texts[i]!.length > 1);
  for (const token of new Set(longer.map((i) => texts[i]![0]!))) {
    signal?.throwIfAborted();
    const same = longer.filter((i) => texts[i]![0] === token);
    const rests = same.map((i) => texts[i]!.slice(1));
    const behind = await scoreTexts(read, await read([token], cache), rests, signal);
    for (const [k, i] of same.entries()) logs[i]! += behind[k]!;
  }
  return logs;
}

/** log Σ exp, without overflow; NaN where one of them is. */
export function logSumExp(values: ArrayLike<number>): number {
  let highest = -Infinity;
  for (let i = 0; i < values.length; i++)
    if (values[i]! > highest || Number.isNaN(values[i])) highest = values[i]!;
  if (highest === -Infinity) return -Infinity;
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += Math.exp(values[i]! - highest);
  return highest + Math.log(sum);
}

/** Probabilities from log probabilities, whatever these add up to. */
function softmax(logs: readonly number[]): Float64Array {
  const total = logSumExp(logs);
  if (!Number.isFinite(total)) {
    throw new InputError(`expected a likelihood of each option from the model, got ${logs.join(', ')}`, {
      fault: 'model',
    });
  }
  return Float64Array.from(logs, (log) => Math.exp(log - total));
}
