import type { Frame } from '../media/types.js';
import type { PictureCrops } from './crops.js';

/** A frame as the tower wants it. */
export interface PreparedFrame {
  readonly index: number;
  readonly ptsSeconds: number;
  /** (3, H, W) float32, normalised. */
  readonly pixelValues: Float32Array;
}

/** What the tower gives for one frame. */
export interface EncodedFrame {
  readonly index: number;
  readonly ptsSeconds: number;
  /** Tokens of the tower: patches, and CLS at 0 where there is one. */
  readonly N: number;
  readonly D: number;
  readonly K: number;
  /** (N, D) output of the selected layer. */
  readonly hidden: Float32Array;
  /** (N, K) key projections, averaged over heads. */
  readonly keys: Float32Array;
  /** (P) attention that each patch gets, raster order. */
  readonly scores: Float32Array;
}

/** How many tokens of a frame are kept. `dominant` counts CLS. */
export interface TokenBudget {
  readonly dominant: number;
  readonly contextual: number;
}

/** The keys and values of everything that was prefilled or generated so far. Never changed in place. */
export interface KvCache {
  /** Tokens in the cache. */
  readonly length: number;
  /** What the decoder gave as `present.*`; opaque to the pipeline. */
  readonly tensors: Readonly<Record<string, unknown>>;
}

/** A part of a chat message: text, the place of one frame's visual tokens, or that of a whole video's. */
export type PromptPart =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'image' }
  | { readonly type: 'video' };

/**
 * A loaded vision-language model, as the pipeline sees it: a tower, a projector, an embedding, a decoder and a
 * tokenizer. Everything is float32 at this border, whatever the graphs use inside.
 */
export interface Model {
  readonly name: string;
  /** sha256 over the model's files. */
  readonly digest: string;
  readonly dtype: string;
  readonly tower: {
    readonly cls: boolean;
    /** Whether CLS goes to the language model where nothing is left out. */
    readonly keepsCls?: boolean;
    /** Whether a frame's tokens can be compressed: there are scores and keys. */
    readonly compressible?: boolean;
    /** Patches of a frame. */
    readonly P: number;
    readonly grid: { readonly rows: number; readonly columns: number };
  };
  readonly contextLength: number;
  /** Whether each frame's time is written into the prompt before its tokens. */
  readonly frameTimes: boolean;
  readonly defaults: { readonly frames: number; readonly compression: TokenBudget };
  /** H. */
  readonly decoderWidth: number;
  readonly eosTokenIds: readonly number[];
  readonly imageTokenId: number;
  readonly imageToken: string;
  /** Of models whose chat shows a video as one: its token, in whose place all frames go. */
  readonly video?: { readonly tokenId: number };
  /** Of models whose chat tells the length of a video and the time of each frame in sentences, as SmolVLM2's. */
  readonly sentences?: true;
  /** A learned embedding behind each frame or behind the whole video. `id` stands for it; it is no word. */
  readonly newline?: { readonly id: number; readonly after: 'frame' | 'video' };
  /** Of models that look at a still picture closer in several crops, as LLaVA-NeXT. */
  readonly crops?: PictureCrops;
  /** Strings that the tokenizer turns into tokens of their own; a question must not hold one. */
  readonly specialTokens: readonly string[];

  preprocess(frame: Frame): Promise<PreparedFrame>;
  /** A batch of frames through the vision tower. */
  encode(frames: readonly PreparedFrame[]): Promise<EncodedFrame[]>;
  /** tokens (T, D) → (T, H). */
  project(tokens: Float32Array, T: number, compressed: boolean): Promise<Float32Array>;
  /** Token ids (S) → (S, H). */
  embed(ids: readonly number[]): Promise<Float32Array>;
  /** S embeddings (S, H) after what is in the cache → logits (V) of the last one, and the longer cache. */
  decode(
    embeds: Float32Array,
    S: number,
    past: KvCache | null,
  ): Promise<{ logits: Float32Array; cache: KvCache }>;

  /** The model's own chat template around one user message, ready for the answer. */
  renderChat(parts: readonly PromptPart[]): string;
  /** Special tokens in the text become their ids; the family's first token is added where it is not there. */
  tokenize(text: string): number[];
  /** Special tokens are left out. */
  detokenize(ids: readonly number[]): string;

  /** Milliseconds spent inside ONNX Runtime since the model was loaded. */
  onnxMs(): number;
  release(): Promise<void>;
}
