import type { KvCache, Language } from '../models/types.js';

/** What stands behind the video: earlier turns, the question, and the rest of the template. */
export interface Conversed {
  readonly suffix: readonly number[];
  /** Where it is prefilled in parts, ascending; the last one is its end. See `cutsOf`. */
  readonly cuts: readonly number[];
}

/**
 * Where the prompts of a conversation are prefilled in parts: each begins with the one before as far as both are the same, and goes on
 * from its cache where that is all of it. What a prompt is cut into depends on the conversation alone and never on what is
 * cached: parts of other sizes round otherwise, and might be answered otherwise.
 *
 * @param suffixes of the first question, of the second with the first turn before it, and so on.
 * @returns cuts of the last one.
 */
export function cutsOf(suffixes: readonly (readonly number[])[]): number[] {
  let cuts: number[] = [];
  let before: readonly number[] = [];
  for (const suffix of suffixes) {
    const same = commonLength(before, suffix);
    cuts = [...cuts.filter((cut) => cut <= same && cut < suffix.length), suffix.length];
    before = suffix;
  }
  return cuts;
}

function commonLength(a: readonly number[], b: readonly number[]): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return i;
  return length;
}

type Forward = (ids: readonly number[], past: KvCache) => ReturnType<Language['forward']>;

/** Keeps the latest question as it lies prefilled behind its video, for the next one in the same conversation. */
export class Conversation {
  #latest: (Conversed & { readonly video: KvCache; readonly cache: KvCache }) | null = null;

  /** Memory that it keeps, its copy of the video's keys and values among it; 0 where it lies behind the video in the same buffer. */
  get bytes(): number {
    if (this.#latest === null) return 0;
    const { cache, video } = this.#latest;
    const isShared = Object.entries(cache.tensors).some(([name, tensor]) => tensor === video.tensors[name]);
    return isShared ? 0 : cache.bytes;
  }

  /** Lets go of what it keeps: the next question is prefilled behind its video again. */
  forget(): void {
    this.#latest = null;
  }

  /** Prefills a question behind its video, from the latest one on where it begins with that. */
  async prefill(forward: Forward, video: KvCache, { suffix, cuts }: Conversed) {
    let at = this.#lengthOf(video, { suffix, cuts });
    let cache = at > 0 ? this.#latest!.cache : video;
    this.#latest = null; // Let go of before more is prefilled: a cache is large.
    let logits: Float32Array = new Float32Array();
    for (const cut of cuts.filter((one) => one > at)) {
      ({ logits, cache } = await forward(suffix.slice(at, cut), cache));
      at = cut;
    }
    this.#latest = { suffix, cuts, video, cache };
    return { logits, cache };
  }

  /** Tokens of the latest question with which this one begins; all of that one, cut in the same way, or none. */
  #lengthOf(video: KvCache, { suffix, cuts }: Conversed): number {
    const latest = this.#latest;
    if (latest?.video !== video || latest.suffix.length >= suffix.length) return 0;
    const areCutAlike = latest.cuts.every((cut, i) => cut === cuts[i]);
    const isSame = commonLength(latest.suffix, suffix) === latest.suffix.length;
    return areCutAlike && isSame ? latest.suffix.length : 0;
  }
}
