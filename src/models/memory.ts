import { framesAtOnce } from './batch.js';
import type { Dtype, Part } from './layout.js';

/** What a model takes in memory, by its parts: for what has been prepared, and for what is not yet downloaded. */

/** Keys and values of one token in a decoder. */
export interface CacheShape {
  readonly layers: number;
  readonly kvHeads: number;
  readonly headWidth: number;
}

/** Tokens of a usual prompt; a whole context of 32,000 is seldom filled. */
export const USUAL_TOKENS = 2048;

/** What a loaded model takes beside its weights and its work: ONNX Runtime's code and sessions. Measured on models of 2 MiB. */
export const BASE_BYTES = 25 * 2 ** 20;

/** Bytes of one token in the cache, which is float32. */
export function tokenBytes({ layers, kvHeads, headWidth }: CacheShape): number {
  return 2 * layers * kvHeads * headWidth * 4;
}

/**
 * The cache of a usual prompt twice: a step reads one and writes the next, or, where the decoder appends, the cache is copied when it
 * grows: from part to part of the prompt, and then once in 128 tokens.
 */
export function promptBytes(shape: CacheShape, contextLength: number): number {
  return 2 * tokenBytes(shape) * Math.min(USUAL_TOKENS, contextLength);
}

/** The largest attention of a tower for the frames that it takes at once. */
export function attentionBytes(tokens: number, width: number): number {
  return framesAtOnce * tokens * (tokens * 16 + width * 8) * 4;
}

/**
 * What the files of a part come to once they are loaded. ONNX Runtime's CPU kernels multiply in float32: weights in float16
 * take twice their file (64 MiB became 128 in a trial). An embedding is only looked up, and stays as it is.
 */
export function heldBytes(part: Part, dtype: Dtype, fileBytes: number): number {
  return dtype === 'fp16' && part !== 'embed' ? 2 * fileBytes : fileBytes;
}
