import type { Frame } from '../media/types.js';
import type { PictureCrops } from './crops.js';
import type { Grid } from './pool.js';

/** A frame as the tower wants it, or a pair of frames that it takes together. */
export interface PreparedFrame {
  /** Of the first of them. */
  readonly index: number;
  /** Of a pair their mean. */
  readonly ptsSeconds: number;
  /** (3, H, W) float32, normalised; for a patch merger (patches, 3 · 2 · p · p), for LFM2-VL (patches, p · p · 3). */
  readonly pixelValues: Float32Array;
  /** Tokens that it becomes, where that depends on the video. */
  readonly grid?: Grid;
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
  /** Of its patches, where that depends on the video. */
  readonly grid?: Grid;
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
  /** Where the next token stands: with M-RoPE a video takes fewer positions than tokens, or more. */
  readonly nextPosition: number;
  /** Memory that it takes. */
  readonly bytes: number;
  /**
   * What the decoder gave as `present.*`; of one that appends, a buffer of keys and values that is longer than `length` and may
   * be shared with other caches. Opaque to the pipeline.
   */
  readonly tensors: Readonly<Record<string, unknown>>;
}

/** What a video looks like before a frame of it is decoded. */
export interface VideoShape {
  readonly width: number;
  readonly height: number;
  /** That are sampled. */
  readonly frames: number;
  readonly isStill: boolean;
}

/** How a model takes pictures in their own proportions, as Qwen2-VL and its successors do. */
export interface NativeResolution {
  /** Frames that the tower takes together, and makes tokens of as of one. */
  readonly framesTogether: number;
  /** Tokens of such a group of frames. */
  gridOf(shape: VideoShape): Grid;
  /** A group; where one is missing the last stands for it, too. */
  prepare(frames: readonly Frame[], grid: Grid, isStill: boolean): Promise<PreparedFrame>;
  /** See `Vision.show`. */
  show(frame: Frame, grid: Grid): Promise<Pick<Frame, 'width' | 'height' | 'rgb'>>;
}

/** A vision tower with its projector, from a frame to tokens in the language model's width. float32 at this border. */
export interface Vision {
  /** Whether token 0 is a CLS token. */
  readonly cls: boolean;
  /** Whether CLS goes to the language model where nothing is left out. */
  readonly keepsCls: boolean;
  /** Whether a frame's tokens can be compressed: there are scores and keys. */
  readonly compressible: boolean;
  /** Patches of a frame, or of a crop; with `native`, tokens of a group of frames of a usual video. */
  readonly grid: Grid;
  /** How many there are. */
  readonly P: number;
  /**
   * Whether the kept tokens of a frame go to the language model in raster order, a contextual one at its target's place;
   * else the dominant ones come first.
   */
  readonly inRasterOrder: boolean;
  /** Of models whose grid depends on the video. */
  readonly native?: NativeResolution;
  /** Of models that look at a still picture closer in several crops, as LLaVA-NeXT and SmolVLM. */
  readonly crops?: PictureCrops;
  prepare(frame: Frame): Promise<PreparedFrame>;
  /** What the tower sees of a frame, for people to look at. `grid` where that depends on the video. */
  show(frame: Frame, grid?: Grid): Promise<Pick<Frame, 'width' | 'height' | 'rgb'>>;
  /** A batch of frames through the tower. */
  encode(frames: readonly PreparedFrame[]): Promise<EncodedFrame[]>;
  /** tokens (T, D) → (T, H). `compressed` chooses the projector that was tuned on compressed tokens, where there is one. */
  project(tokens: Float32Array, T: number, compressed: boolean): Promise<Float32Array>;
}

/**
 * Positions in three axes, M-RoPE (arXiv 2409.12191, section 2.1): a visual token stands at a time, a row and a column. `time`
 * says what the first counts: groups of frames (Qwen2-VL), seconds (Qwen2.5-VL), or nothing, since the time is written before
 * each group (Qwen3-VL).
 */
export interface MultimodalRope {
  readonly time: 'groups' | 'seconds' | 'none';
  /** With `seconds`: positions a second. */
  readonly perSecond?: number;
}

/** Where tokens stand. */
export interface Positions {
  /** (3, S): time, row, column. */
  readonly axes: BigInt64Array;
  /** Where what follows begins. */
  readonly next: number;
}

/** A decoder with its embedding of words. float32 at this border, whatever the graphs use inside. */
export interface Language {
  /** Width of an embedding; of a visual token with what DeepStack adds to later layers. */
  readonly H: number;
  /** Tokens that it can look back on. */
  readonly contextLength: number;
  readonly eosTokenIds: readonly number[];
  /** Token ids (S) → (S, H). */
  embed(ids: readonly number[]): Promise<Float32Array>;
  /** How tokens are numbered; default one after the other. */
  readonly rope?: MultimodalRope;
  /** S embeddings (S, H) after what is in the cache → logits (V) of the last one, and the longer cache. */
  forward(
    input: { readonly embeds: Float32Array; readonly S: number; readonly positions?: Positions },
    past: KvCache | null,
  ): Promise<{ readonly logits: Float32Array; readonly cache: KvCache }>;
}

/** What the chat is told of a video. */
export interface ShownVideo {
  /** Of each block of its visual tokens, in order. */
  readonly ptsSeconds: readonly number[];
  /** Of the whole video. */
  readonly durationSeconds: number;
  /** Whether it is a still picture and no video. */
  readonly isStill?: boolean;
  /** A still picture in crops, whose tokens hold their newlines already. */
  readonly inCrops?: boolean;
  /** Of a still picture whose crops stand in the prompt each by itself, the whole last: their rows and columns. */
  readonly cropGrid?: Grid;
}

/** The prompt of one question, split after the last visual token. */
export interface Prompt {
  /**
   * What all questions on a video share. Token ids; `imageTokenId` stands once for each block, where its
   * visual tokens go.
   */
  readonly prefix: readonly number[];
  /** The question and the rest of the template. */
  readonly suffix: readonly number[];
}

/** A part of a chat message: text, the place of one block of visual tokens, or that of a whole video's. */
export type PromptPart =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'image' }
  | { readonly type: 'video' };

/** An earlier question about the same video, and its answer. */
export interface Turn {
  readonly question: string;
  readonly answer: string;
}

/** A chat template with its tokenizer: from a video and a question to token ids, and from ids back to text. */
export interface Chat {
  /** Stands in a prompt for a block of visual tokens. */
  readonly imageTokenId: number;
  /**
   * @param history what was asked and answered before, the oldest first; default nothing. It stands between the video and
   *   the question, and so in the prompt's suffix.
   * @throws InputError for a question, or an earlier answer, that holds a special token (fault `question`), and for a template
   *   that loses frames, the question or an earlier turn (fault `model`).
   */
  layOut(video: ShownVideo, question: string, history?: readonly Turn[]): Prompt;
  /**
   * The model's own chat template around a user message, ready for the answer.
   *
   * @param later texts of the messages behind it: the assistant's and the user's in turn, the last one the user's; default none.
   */
  render(parts: readonly PromptPart[], later?: readonly string[]): string;
  /** Special tokens in the text become their ids; the family's first token is added where it is not there. */
  tokenize(text: string): number[];
  /** Special tokens are left out. */
  detokenize(ids: readonly number[]): string;
}

/** How many frames of a video a model is shown where nobody says how many. */
export interface FrameDefaults {
  /** Of a short one. */
  readonly frames: number;
  /** Of a long one: as many as it was trained on. Default `frames`. */
  readonly mostFrames?: number;
  /** Between the two: so many a second. Default 1. */
  readonly framesPerSecond?: number;
}

/** How a model answers by its own generation_config.json. */
export interface GenerationDefaults {
  /** Whether it samples; else it takes the likeliest token. */
  readonly samples: boolean;
  /** Of sampling: what the file says, else what transformers takes. Without a top k all tokens count. */
  readonly temperature: number;
  readonly topK?: number;
  readonly topP: number;
  /** Above 1, tokens that were there before become less likely, whether it samples or not. 1 is none. */
  readonly repetitionPenalty: number;
  /** Tokens of an answer. */
  readonly maxNewTokens?: number;
}

/** What is known of a model without its weights. */
export interface ModelOutline {
  readonly name: string;
  /** sha256 over the model's files. */
  readonly digest: string;
  readonly dtype: string;
  readonly defaults: FrameDefaults & {
    readonly compression: TokenBudget;
    /** Of a frame's tokens, what is kept where their number depends on the video. */
    readonly share?: number;
  };
  readonly generationDefaults: GenerationDefaults;
  readonly vision: Omit<Vision, 'prepare' | 'show' | 'encode' | 'project'>;
  readonly language: Pick<Language, 'contextLength'>;
  readonly chat: Chat;
}

/** A loaded vision-language model, as the pipeline sees it. */
export interface Model extends ModelOutline {
  readonly vision: Vision;
  readonly language: Language;
  /** Milliseconds spent inside ONNX Runtime since the model was loaded. */
  onnxMs(): number;
  release(): Promise<void>;
}
