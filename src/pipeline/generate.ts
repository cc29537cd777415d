import type { KvCache, Model } from '../models/types.js';
import { Conversation } from './conversation.js';
import { settleGeneration } from './generation.js';
import { logProbability } from './likelihood.js';
import { placeTokens } from './positions.js';
import { createSampler } from './sampler.js';
import type { Answer, Generation, VideoTokens } from './types.js';

export const defaultMaxNewTokens = 64;

type Decoder = {
  readonly language: Pick<Model['language'], 'embed' | 'forward' | 'H' | 'rope'>;
  readonly chat: Pick<Model['chat'], 'imageTokenId'>;
};
type Generator = {
  readonly language: Pick<Model['language'], 'embed' | 'forward' | 'eosTokenIds'>;
  readonly chat: Pick<Model['chat'], 'detokenize'>;
  readonly generationDefaults: Model['generationDefaults'];
};

/**
 * Prefills what all questions share: the template's head, the frame times, and the visual tokens of each block in
 * the place of its image token. `prefix` holds one image token a block, in their order.
 */
export async function prefillVideo(
  { language, chat }: Decoder,
  prefix: readonly number[],
  video: Pick<VideoTokens, 'blocks' | 'grid' | 'framesTogether'>,
): Promise<KvCache> {
  const { blocks } = video;
  const { H } = language;
  const text = await language.embed(prefix); // (prefix, H)
  const S = prefix.length - blocks.length + blocks.reduce((sum, block) => sum + block.T, 0);
  const embeds = new Float32Array(S * H); // (S, H)
  let block = 0;
  let row = 0;
  prefix.forEach((id, i) => {
    const rows = id === chat.imageTokenId ? blocks[block++]!.embeds : text.subarray(i * H, (i + 1) * H);
    embeds.set(rows, row * H);
    row += rows.length / H;
  });
  const positions = language.rope && placeTokens(prefix, chat.imageTokenId, video, language.rope);
  return (await language.forward({ embeds, S, ...(positions && { positions }) }, null)).cache;
}

/** A question as it stands behind the video: `suffix` is the rest of its prompt. */
export interface AskedQuestion {
  readonly question: string;
  /** What the prompt begins with, for `repetitionPenalty`; default nothing. */
  readonly prefix?: readonly number[];
  readonly suffix: readonly number[];
  /** Where it is prefilled in parts: see `cutsOf`; default in one. */
  readonly cuts?: readonly number[];
}

/** What is heard of an answer: its first token, the text that was added (together the answer, but for white space around it), the whole. */
export type GenerateEvent =
  | { readonly type: 'firstToken' }
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'answer'; readonly answer: Answer };

export interface GenerateOptions {
  readonly generation: Generation;
  readonly signal?: AbortSignal;
  /** What the question may go on from; default nothing. */
  readonly conversation?: Conversation;
}

/**
 * Prefills one question after the video and generates its answer. The cache of the video is not changed, so
 * that every question starts from the same one. Stops between decode steps when aborted, with the signal's
 * reason.
 */
export async function* generate(
  { language, chat, generationDefaults }: Generator,
  { question, prefix = [], suffix, cuts = [suffix.length] }: AskedQuestion,
  video: KvCache,
  { generation, signal, conversation = new Conversation() }: GenerateOptions,
): AsyncGenerator<GenerateEvent> {
  const pick = createSampler(settleGeneration(generation, generationDefaults), [...prefix, ...suffix]);
  const maxNewTokens = generation.maxNewTokens ?? defaultMaxNewTokens;
  const text = new AnswerText(chat, generation.stop ?? []);
  const started = performance.now();
  const forward = async (ids: readonly number[], past: KvCache) => {
    signal?.throwIfAborted();
    return language.forward({ embeds: await language.embed(ids), S: ids.length }, past);
  };

  let { logits, cache } = await conversation.prefill(forward, video, { suffix, cuts });
  const prefillMs = performance.now() - started;
  let newTokens = 0;
  /** Of the tokens together, as the model has it: before temperature, penalties and cuts have their say. */
  let logLikelihood = 0;
  let finishReason: Answer['finishReason'] | null = null;
  for (;;) {
    signal?.throwIfAborted();
    const token = pick(logits);
    newTokens += 1;
    logLikelihood += logProbability(logits, token);
    if (newTokens === 1) yield { type: 'firstToken' };
    if (language.eosTokenIds.includes(token) || text.push(token)) finishReason = 'stop';
    else if (newTokens === maxNewTokens) finishReason = 'length';
    const added = text.added(finishReason !== null);
    if (added !== '') yield { type: 'text', text: added };
    if (finishReason !== null) break;
    ({ logits, cache } = await forward([token], cache));
  }
  const likelihood = Math.exp(logLikelihood / newTokens);
  const answer = {
    ...{ question, answer: text.whole, finishReason, newTokens, prefillMs },
    // Logits that are no numbers give none.
    ...(Number.isFinite(likelihood) && { likelihood }),
    promptTokens: video.length + suffix.length,
    generateMs: performance.now() - started - prefillMs,
  };
  yield { type: 'answer', answer };
}

/** The answer so far. Hands text on only when later tokens cannot take it back. */
class AnswerText {
  readonly #ids: number[] = [];
  #text = '';
  #sent = 0;

  constructor(
    readonly chat: Pick<Model['chat'], 'detokenize'>,
    readonly stop: readonly string[],
  ) {}

  /** Takes one token; true when a stop string is complete, which is then cut off. */
  push(token: number): boolean {
    this.#ids.push(token);
    this.#text = this.chat.detokenize(this.#ids);
    const cuts = this.stop.map((stop) => this.#text.indexOf(stop)).filter((at) => at >= 0);
    if (cuts.length === 0) return false;
    this.#text = this.#text.slice(0, Math.min(...cuts));
    return true;
  }

  /** What was added since it was asked last, and later tokens cannot take back; at the end all that is left. */
  added(isEnd: boolean): string {
    const end = isEnd ? this.#text.length : this.#text.length - this.#undecided();
    if (end <= this.#sent) return '';
    const text = this.#text.slice(this.#sent, end);
    this.#sent = end;
    return text;
  }

  get whole(): string {
    return this.#text.trim();
  }

  /** Characters at the end that may yet change: half a UTF-8 character, or the beginning of a stop string. */
  #undecided(): number {
    const broken = this.#text.length - this.#text.replace(/\uFFFD+$/, '').length;
    const begun = this.stop.map((stop) => {
      let length = Math.min(stop.length - 1, this.#text.length);
      while (length > 0 && !this.#text.endsWith(stop.slice(0, length))) length -= 1;
      return length;
    });
    return Math.max(broken, ...begun);
  }
}
