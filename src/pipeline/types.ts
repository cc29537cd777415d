/**
 * The types that cross a stage, in the order in which the data flows:
 *
 *   VideoInfo → Frame → PreparedFrame → EncodedFrame → CompressedFrame → VisualTokens → Answer
 *
 * Dictionary. A *frame* is one decoded picture of the video. A *patch token* is what the ViT gives for one
 * patch of a frame, the *CLS token* its class token. *Dominant* tokens are kept as they are, *contextual*
 * tokens stand for the rest (VisionZip, arXiv 2412.04467). *Visual tokens* are what enters the language model.
 * Shapes: N tokens of the tower, P patches, D tower width, K key width, T kept tokens, H decoder width.
 */

/** What the probe says of a video file. Nothing here is trusted for allocation. */
export interface VideoInfo {
  /** Real path of the regular file. */
  readonly path: string;
  readonly sizeBytes: number;
  /** Index of the video stream that ffmpeg itself would pick (cover art excluded). */
  readonly streamIndex: number;
  readonly codec: string;
  readonly container: string;
  /** Length of the video stream in seconds; 0 for a still picture. */
  readonly durationSeconds: number;
  /** Average frame rate, frames a second; 0 for a still picture. */
  readonly fps: number;
  /** Displayed size in pixels, rotation applied. */
  readonly width: number;
  readonly height: number;
  /** Clockwise rotation that players apply, in degrees: 0, 90, 180 or 270. */
  readonly rotation: number;
  /** True for a picture file, which is treated as a video of one frame. */
  readonly isStill: boolean;
  /** In what the frames differ from the file as it was meant; empty for most. */
  readonly warnings: readonly VideoWarning[];
}

/**
 * - `truncated`: the file ends in the middle of its video.
 * - `damaged`: frames could not be decoded, and others stand in for them.
 * - `joined`: the container's clock starts anew within the file; its parts were put one behind the other.
 * - `tone-mapped`: high dynamic range was brought into SDR.
 */
export interface VideoWarning {
  readonly kind: 'truncated' | 'damaged' | 'joined' | 'tone-mapped';
  /** One sentence, for people. */
  readonly message: string;
}

/** Which frames to take. Give `frames`, or `fps` with `maxFrames`; neither means the model's default. */
export interface Sampling {
  /** How many frames, equally spaced over the range: linspace(first, last, frames), rounded down. */
  readonly frames?: number;
  /** Frames a second of video. */
  readonly fps?: number;
  /** Upper bound with `fps`. */
  readonly maxFrames?: number;
  /** Range of the video in seconds from the first frame shown; default the whole. */
  readonly startSeconds?: number;
  readonly endSeconds?: number;
}

/** A decoded frame as a player shows it, RGB, 8 bit. */
export interface Frame {
  /** Position among the sampled frames, from 0. */
  readonly index: number;
  /** From the first frame shown. */
  readonly ptsSeconds: number;
  readonly width: number;
  readonly height: number;
  /** (height, width, 3), row-major. */
  readonly rgb: Uint8Array;
}

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

/** The kept tokens of one frame: dominant, then contextual. */
export interface CompressedFrame {
  readonly index: number;
  readonly ptsSeconds: number;
  readonly T: number;
  readonly D: number;
  /** (T, D). */
  readonly tokens: Float32Array;
  /** Rows of `hidden` that were kept as they are, ascending (CLS is 0). All rows for `none`. */
  readonly dominantIndices: readonly number[];
  /**
   * For each contextual token the rows of `hidden` that went into it, its target first.
   * Empty where nothing was merged.
   */
  readonly contextualMembers: readonly (readonly number[])[];
}

/** One frame's tokens in the language model's width. */
export interface VisualTokens {
  readonly index: number;
  readonly ptsSeconds: number;
  readonly T: number;
  readonly H: number;
  /** (T, H). */
  readonly embeds: Float32Array;
}

/** `auto`: what fits, VisionZip's split. `none`: every patch token. Or a budget a frame. */
export type Compression = 'auto' | 'none' | TokenBudget;

/** How the answer is generated. Greedy unless `temperature` is above 0. */
export interface Generation {
  /** Upper bound of the answer in tokens; default 64. */
  readonly maxNewTokens?: number;
  /** 0 (default) is greedy. */
  readonly temperature?: number;
  /** Keep the k likeliest tokens; default all. */
  readonly topK?: number;
  /** Keep the likeliest tokens that reach this share; default 1. */
  readonly topP?: number;
  /** Makes sampling repeatable. */
  readonly seed?: number;
  /** Generation ends before any of these strings. */
  readonly stop?: readonly string[];
}

/** How the frames and tokens were fitted into the context; part of every result. */
export interface Plan {
  readonly frames: number;
  /** In how many crops a frame is encoded: 1, but for a still picture in LLaVA-NeXT; the whole is counted. */
  readonly crops: number;
  readonly tokensPerFrame: number;
  /** Of each crop. Null when nothing is compressed. */
  readonly budget: TokenBudget | null;
  /** Tokens a frame without compression (the family's own input). */
  readonly tokensPerFrameBefore: number;
  readonly contextLength: number;
  /** Tokens of the longest prompt: visual tokens, frame times, separators, template and question. */
  readonly promptTokens: number;
  readonly maxNewTokens: number;
  /** One sentence: what was chosen, and why. */
  readonly reason: string;
}

/** One question's answer. */
export interface Answer {
  readonly question: string;
  readonly answer: string;
  /** `stop`: end-of-sequence or a stop string; `length`: `maxNewTokens` reached. */
  readonly finishReason: 'stop' | 'length';
  readonly promptTokens: number;
  readonly newTokens: number;
  /** This question's own share of the timings. */
  readonly prefillMs: number;
  readonly generateMs: number;
}

/**
 * Where the time of one job went, in milliseconds. ffmpeg works beside all the others: `decodeMs` is the time in
 * which the job waited for it. The stages add up to at most `totalMs`.
 */
export interface Timings {
  /** From enqueue to the start of the attempt; 0 without a queue. */
  readonly queueMs: number;
  readonly probeMs: number;
  readonly decodeMs: number;
  readonly preprocessMs: number;
  readonly encodeMs: number;
  readonly compressMs: number;
  readonly projectMs: number;
  readonly prefillMs: number;
  readonly generateMs: number;
  readonly totalMs: number;
  /** From the start of the job to the first token of the first answer. */
  readonly firstTokenMs: number;
  /** Inside ONNX Runtime, all sessions together. */
  readonly onnxMs: number;
  /** Decode steps a second of generation. */
  readonly tokensPerSecond: number;
  /** Frames decoded, preprocessed and encoded a second. */
  readonly framesPerSecond: number;
}

/** Where a job stands; sent while it runs. */
export interface Progress {
  readonly stage: 'load' | 'probe' | 'encode' | 'generate';
  readonly framesDone: number;
  readonly framesTotal: number;
  readonly answersDone: number;
  readonly answersTotal: number;
}

/** What a video may cost before anything of it is decoded. */
export interface Limits {
  /** Default 4 GiB. */
  readonly maxBytes: number;
  /** Length of the video; default 4 hours. */
  readonly maxSeconds: number;
  /** Pixels of one frame; default 35,651,584 (8,192 × 4,352). */
  readonly maxPixels: number;
  /** The decoder is killed after this; default 10 minutes. */
  readonly decodeTimeoutMs: number;
}

/** What is asked of one video. */
export interface AnswerRequest {
  /** Path of a local file. */
  readonly video: string;
  readonly questions: readonly string[];
  /** Default: as many frames as the model's own configuration says, equally spaced. */
  readonly sampling?: Sampling;
  /** Default `auto`. */
  readonly compression?: Compression;
  /** Default: greedy, at most 64 tokens. */
  readonly generation?: Generation;
  /** Each has a default of its own, see `Limits`. */
  readonly limits?: Partial<Limits>;
  /** Whether a truncated or damaged video is an error; default false: what can be decoded is used. */
  readonly strict?: boolean;
}

/** A request in which every default stands. */
export interface CompleteRequest extends Required<AnswerRequest> {
  readonly limits: Limits;
}

/** What a caller of `answerVideo` may listen to, and how to stop it. */
export interface AnswerOptions {
  /** Stops the work; `answerVideo` then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  onProgress?(progress: Progress): void;
  /** The text that was added to an answer. */
  onText?(questionIndex: number, text: string): void;
  /** Each answer as soon as it is whole: the outcome as it stands then, with this answer alone. */
  onAnswer?(outcome: AnswerOutcome): void;
  /** Each frame with the tokens that were kept of it, in order. */
  onFrame?(frame: Frame, compressed: CompressedFrame): void | Promise<void>;
}

/** What `answerVideo` gives back. */
export interface AnswerOutcome {
  readonly video: VideoInfo;
  readonly plan: Plan;
  /** Visual tokens of the whole video, without and with compression. */
  readonly tokens: { readonly before: number; readonly after: number };
  readonly frames: readonly { readonly index: number; readonly ptsSeconds: number }[];
  readonly answers: readonly Answer[];
  readonly timings: Timings;
}
