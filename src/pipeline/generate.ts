import type { KvCache, Model } from '../models/types.js';
import { createSampler } from './sampler.js';
import type { Answer, Generation, VisualTokens } from './types.js';

export const defaultMaxNewTokens = 64;

type Decoder = Pick<Model, 'embed' | 'decode' | 'decoderWidth' | 'imageTokenId'>;
type Generator = Decoder & Pick<Model, 'eosTokenIds' | 'detokenize'>;

/**
 * Prefills what all questions share: the template's head, the frame times, and each frame's visual tokens in
 * the place of its image token. `prefix` holds one image token a frame, in the order of `visual`.
 */
export async function prefillVideo(
  model: Decoder,
  prefix: readonly number[],
  visual: readonly VisualTokens[],
): Promise<KvCache> {
  const H = model.decoderWidth;
  const text = await model.embed(prefix); // (prefix, H)
  const S = prefix.length - visual.length + visual.reduce((sum, frame) => sum + frame.T, 0);
  const embeds = new Float32Array(S * H); // (S, H)
  let frame = 0;
  let row = 0;
  prefix.forEach((id, i) => {
    const rows = id === model.imageTokenId ? visual[frame++]!.embeds : text.subarray(i * H, (i + 1) * H);
    embeds.set(rows, row * H);
    row += rows.length / H;
  });
  return (await model.decode(embeds, S, null)).cache;
}

export interface GenerateOptions {
  readonly generation: Generation;
  readonly signal?: AbortSignal;
  /** The text that was added; together the answer, but for white space around it. */
  onText?(text: string): void;
  /** The first token is there. */
  onFirstToken?(): void;
}

/**
 * Prefills one question after the video and generates its answer. The cache of the video is not changed, so
 * that every question starts from the same one. Stops between decode steps when aborted, with the signal's
 * reason.
 */
export async function generateAnswer(
  model: Generator,
  question: string,
  suffix: readonly number[],
  video: KvCache,
  { generation, signal, onText, onFirstToken }: GenerateOptions,
): Promise<Answer> {
  const pick = createSampler(generation);
  const maxNewTokens = generation.maxNewTokens ?? defaultMaxNewTokens;
  const text = new AnswerText(model, generation.stop ?? [], onText);
  const started = performance.now();

  let { logits, cache } = await model.decode(await model.embed(suffix), suffix.length, video);
  const prefillMs = performance.now() - started;
  let newTokens = 0;
  let finishReason: Answer['finishReason'] = 'length';
  for (;;) {
    signal?.throwIfAborted();
    const token = pick(logits);
    newTokens += 1;
    if (newTokens === 1) onFirstToken?.();
    if (model.eosTokenIds.includes(token) || text.push(token)) {
      finishReason = 'stop';
      break;
    }
    if (newTokens === maxNewTokens) break;
    ({ logits, cache } = await model.decode(await model.embed([token]), 1, cache));
  }
  return {
    question,
    answer: text.finish(),
    finishReason,
    promptTokens: video.length + suffix.length,
    newTokens,
    prefillMs,
    generateMs: performance.now() - started - prefillMs,
  };
}

/** The answer so far. Hands text on only when later tokens cannot take it back. */
class AnswerText {
  readonly #ids: number[] = [];
  #text = '';
  #sent = 0;

  constructor(
    readonly model: Pick<Model, 'detokenize'>,
    readonly stop: readonly string[],
    readonly onText?: (text: string) => void,
  ) {}

  /** Takes one token; true when a stop string is complete, which is then cut off. */
  push(token: number): boolean {
    this.#ids.push(token);
    this.#text = this.model.detokenize(this.#ids);
    const cuts = this.stop.map((stop) => this.#text.indexOf(stop)).filter((at) => at >= 0);
    if (cuts.length > 0) {
      this.#text = this.#text.slice(0, Math.min(...cuts));
      return true;
    }
    this.#send(this.#text.length - this.#undecided());
    return false;
  }

  finish(): string {
    this.#send(this.#text.length);
    return this.#text.trim();
  }

  #send(end: number): void {
    if (end <= this.#sent) return;
    this.onText?.(this.#text.slice(this.#sent, end));
    this.#sent = end;
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
