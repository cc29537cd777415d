/**
 * The types that cross a stage, in the order in which the data flows:
 *
 *   VideoInfo → Frame → PreparedFrame → EncodedFrame → CompressedFrame → TokenBlock → VideoTokens → Answer
 *
 * Dictionary. A *frame* is one decoded picture of the video. A *patch token* is what the ViT gives for one
 * patch of a frame, the *CLS token* its class token. *Dominant* tokens are kept as they are, *contextual*
 * tokens stand for the rest (VisionZip, arXiv 2412.04467). *Visual tokens* are what enters the language model.
 * Shapes: N tokens of the tower, P patches, D tower width, K key width, T kept tokens, H decoder width.
 */

import type { Frame, Limits, VideoInfo } from '../media/types.js';
import type { Grid } from '../models/pool.js';
import type { TokenBudget, Turn } from '../models/types.js';

export type { Turn };

/** Which frames to take. Give `frames`, or `fps` with `maxFrames`; neither means the model's default. */
export interface Sampling {
  /** How many frames; default by the length of the range, as suits the model. */
  readonly frames?: number;
  /** Frames a second of video. */
  readonly fps?: number;
  /** Upper bound with `fps`. */
  readonly maxFrames?: number;
  /**
   * How frames are chosen, unless `fps` does it.
   * - `auto` (default): half of them evenly in time, up to half where most changes. The whole range is decoded once, small.
   * - `fast`: the same, by the keyframes and the sizes of packets alone.
   * - `uniform`: evenly in time: linspace(first, last, frames), rounded down.
   */
  readonly method?: 'auto' | 'fast' | 'uniform';
  /** Range of the video in seconds from the first frame shown; default the whole. */
  readonly startSeconds?: number;
  readonly endSeconds?: number;
}

/** The kept tokens of one frame, or of one crop of a picture: dominant, then contextual. */
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
  /** (T) where something was merged over time: the frames that each token stands for. Default its own. */
  readonly reach?: readonly FrameReach[];
  /** Patches of it for which an earlier frame's tokens stand; default 0. */
  readonly standIns?: number;
}

/** From one to another of the sampled frames, by their positions. */
export interface FrameReach {
  readonly first: number;
  readonly last: number;
}

/** Sampled frames, first to last, that tokens stand for. */
export interface Span {
  /** Positions among the sampled frames. */
  readonly first: number;
  readonly last: number;
  /** When the first and the last of them are shown, from the first frame of the video. */
  readonly startSeconds: number;
  readonly endSeconds: number;
}

/** Where a visual token came from. */
export interface Origin {
  /**
   * `static` is a patch that shows the same in several frames, as their mean. `newline` is a learned embedding between rows
   * of a picture's tokens, and came from none.
   */
  readonly kind: 'dominant' | 'contextual' | 'static' | 'newline';
  /** Which crop of a picture, 0 for the whole; 0 for a frame of a video. */
  readonly crop: number;
  /** Rows of the tower's output that went into it, its target first. With a CLS token that one is row 0. */
  readonly rows: readonly number[];
  /** The frames that it stands for, where they are more than its own. */
  readonly frames?: FrameReach;
}

/** Visual tokens that stand in the prompt together, in the language model's width. */
export interface TokenBlock {
  readonly span: Span;
  /** When it was, as the prompt may tell it: of frames that the tower took together their mean. */
  readonly ptsSeconds: number;
  readonly T: number;
  /** (T, H). */
  readonly embeds: Float32Array;
  /** (T). */
  readonly origins: readonly Origin[];
  /** Patches of the frame for which an earlier frame's tokens stand. */
  readonly standIns?: number;
  /** Tokens before any was left out, where that depends on the video. */
  readonly grid?: Grid;
}

/** A frame that was looked at. */
export interface SampledFrame {
  /** Position among the sampled frames, from 0. */
  readonly index: number;
  readonly ptsSeconds: number;
  /**
   * Visual tokens that were made of it; 0 where those of an earlier frame stand for it: it shows the same, or the tower took
   * both together.
   */
  readonly tokens: number;
  /** The frame, by its position, that it shows again, and whose tokens stand for it. */
  readonly sameAs?: number;
  /** The frame, by its position, with which the tower took it together, and which has the tokens of both. */
  readonly takenWith?: number;
  /** Of these, how many stand for patches that were merged. */
  readonly merged?: number;
  /** Of these, how many stand for later frames, too. */
  readonly static?: number;
  /** Patches of it that were left out, since tokens of an earlier frame stand for them. */
  readonly standIns?: number;
}

/** What is done about what repeats over time; each stage by itself. Defaults: `stagesOf`. */
export interface OverTime {
  /** `drop`: a frame that shows what the one before shows is not encoded. */
  readonly duplicates?: 'drop' | 'keep';
  /** `merge`: in frames in a row, a patch that shows the same is sent once: see `findStaticWindows`. */
  readonly windows?: 'merge' | 'keep';
  /** `novelty`: a frame gets more tokens the less it is like those before it: see `shareByNovelty`. */
  readonly budget?: 'novelty' | 'even';
  /** `weaken`: patches that draw attention in every frame count less: see `weakenSinks`. */
  readonly sinks?: 'weaken' | 'keep';
  /** Which patches are dominant: see `CompressOptions.select`. */
  readonly dominant?: 'attention' | 'suppressed' | 'coverage';
  /** `clip`: tokens are merged over several frames, instead of VisionZip and the stages before: see `mergeClipWide`. */
  readonly merging?: 'frame' | 'clip';
}

/** Every stage on or off. */
export type OverTimeStages = Required<OverTime>;

/** A video as the language model will see it: independent of every question. */
export interface VideoTokens {
  readonly H: number;
  /** Tokens of its frames without compression. */
  readonly tokensBefore: number;
  readonly blocks: readonly TokenBlock[];
  readonly frames: readonly SampledFrame[];
  /** Of the whole video, as the prompt may tell it. */
  readonly durationSeconds: number;
  readonly isStill: boolean;
  /** Whether it is a still picture in crops. */
  readonly inCrops: boolean;
  /** See `ShownVideo.cropGrid`; each crop is a block of its own. */
  readonly cropGrid?: Grid;
  /** Tokens of a frame, or of a group of frames, before any was left out. */
  readonly grid: Grid;
  /** Frames that the tower took together. */
  readonly framesTogether: number;
  /** What each of its frames shows, to find it again. */
  readonly vectors: FrameVectors;
}

/** A vector of length 1, as far as half precision has it, for each frame. See `poolFrame`. */
export interface FrameVectors {
  readonly D: number;
  /** (F, D), a row for each of `frames`. */
  readonly values: Float32Array;
}

/** What may be spent on a video, fixed before a frame of it is decoded. */
export interface Allowance {
  /** Which frames, as indices into the video's own, ascending. */
  readonly indices: readonly number[];
  /** Tokens of each frame or crop; null: all of them. */
  readonly budget: TokenBudget | null;
  /** Visual tokens of all frames without compression, and at most with it. */
  readonly tokensBefore: number;
  readonly visualTokens: number;
  readonly durationSeconds: number;
  readonly isStill: boolean;
  readonly inCrops: boolean;
  /** See `ShownVideo.cropGrid`. */
  readonly cropGrid?: Grid;
  /** Tokens of a frame, or of a group of frames. */
  readonly grid: Grid;
  readonly overTime: OverTimeStages;
}

/** `auto`: what fits, VisionZip's split. `none`: every patch token. Or a budget a frame. */
export type Compression = 'auto' | 'none' | TokenBudget;

/** How the answer is generated. Greedy unless `temperature` is above 0, or `defaults` are those of a model that samples. */
export interface Generation {
  /**
   * Where what is not given here comes from.
   * - `greedy` (default): the likeliest token, so that the same question gets the same answer.
   * - `model`: temperature, top k and top p of the model's own generation_config.json, as transformers takes them.
   */
  readonly defaults?: 'greedy' | 'model';
  /** Upper bound of the answer in tokens; default 64, whatever the model's own: the plan keeps room for it. */
  readonly maxNewTokens?: number;
  /** 0 (default) is greedy. */
  readonly temperature?: number;
  /** Keep the k likeliest tokens; default all. */
  readonly topK?: number;
  /** Keep the likeliest tokens that reach this share; default 1. */
  readonly topP?: number;
  /**
   * Above 1, tokens of the prompt and of the answer so far become less likely; 1 is none. Default the model's own, greedy or
   * not: greedy answers are where models repeat themselves without it.
   */
  readonly repetitionPenalty?: number;
  /** Makes sampling repeatable. */
  readonly seed?: number;
  /** Generation ends before any of these strings. */
  readonly stop?: readonly string[];
}

/** How the frames and tokens were fitted into the context; part of every result. */
export interface Plan {
  readonly frames: number;
  /** How many of them show an event: see `findEvents`. */
  readonly events: number;
  /** In how many crops a frame is encoded: 1, but for a still picture in LLaVA-NeXT; the whole is counted. */
  readonly crops: number;
  /** Of a frame, or of frames that the tower takes together; on average over the frames, at most: see `OverTime`. */
  readonly tokensPerFrame: number;
  /** Frames that the tower takes together: 2 of a video in Qwen2-VL, else 1. */
  readonly framesTogether: number;
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

/** A question that is answered by the letter of one of its options. */
export interface ChoiceQuestion {
  readonly question: string;
  /** 2 to 26, A first; with letters of their own (`B. red`) or without. */
  readonly options: readonly string[];
  /** Whether the question shows the options already; else they are put behind it. */
  readonly showsOptions?: boolean;
}

/** A question that is answered in the model's own words, or one with options. */
export type Question = string | ChoiceQuestion;

/** Which option was chosen. */
export interface Choice {
  readonly letter: string;
  /** Among the options, from 0. */
  readonly index: number;
  /** Of each option; together 1. */
  readonly likelihoods: readonly number[];
}

/** One question's answer. */
export interface Answer {
  readonly question: string;
  /** Of a question with options, as it was asked. */
  readonly options?: readonly string[];
  /** Of a question with options the letter. */
  readonly answer: string;
  readonly choice?: Choice;
  /**
   * How likely the model held the tokens of a free answer, the end's included: the geometric mean of their probabilities at
   * temperature 1, before any penalty or cut.
   */
  readonly likelihood?: number;
  /** `stop`: end-of-sequence or a stop string; `length`: `maxNewTokens` reached. */
  readonly finishReason: 'stop' | 'length';
  readonly promptTokens: number;
  readonly newTokens: number;
  /** Of its history, how many of the oldest turns had no room in the context; default none. */
  readonly turnsDropped?: number;
  /** When its prefill began, in milliseconds from the start of the job; of a stored answer, of the one that made it. */
  readonly startedMs?: number;
  /** This question's own share of the timings. */
  readonly prefillMs: number;
  readonly generateMs: number;
}

/** First and last busy. */
type BusySpan = readonly [startMs: number, endMs: number];

export interface StageSpans {
  readonly probe?: BusySpan;
  readonly choose?: BusySpan;
  readonly decode?: BusySpan;
  readonly preprocess?: BusySpan;
  readonly encode?: BusySpan;
  readonly compress?: BusySpan;
  readonly project?: BusySpan;
  readonly prefill?: BusySpan;
  readonly generate?: BusySpan;
}

/**
 * Where the time of one job went, in milliseconds. ffmpeg works beside all the others: `decodeMs` is the time in
 * which the job waited for it. The stages add up to at most `totalMs`.
 */
export interface Timings {
  /** From enqueue to the start of the attempt; 0 without a queue. */
  readonly queueMs: number;
  readonly probeMs: number;
  /** Looking for frames where something happens. */
  readonly chooseMs: number;
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
  /** When each stage that ran was first and last busy, in milliseconds from the start of the job; in between it may have waited. */
  readonly spans?: StageSpans;
}

/** Where a job stands; sent while it runs. */
export interface Progress {
  readonly stage: 'load' | 'probe' | 'choose' | 'encode' | 'generate';
  readonly framesDone: number;
  readonly framesTotal: number;
  readonly answersDone: number;
  readonly answersTotal: number;
}

/** What is asked of one video. */
export interface AnswerRequest {
  /** Path of a local file. */
  readonly video: string;
  readonly questions: readonly Question[];
  /**
   * What was asked and answered before each of them, the oldest first; default nothing. The video is shown as to the question
   * alone; where the context has no room left the oldest turns are dropped.
   */
  readonly history?: readonly Turn[];
  /** Default: as many frames as suit the video's length and the model, by the method `auto`. */
  readonly sampling?: Sampling;
  /** Default `auto`. */
  readonly compression?: Compression;
  /** Default: `stagesOf`, and nothing of it where every token is asked for (`compression: 'none'`). */
  readonly overTime?: OverTime;
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
  onAnswer?(outcome: AnswerOutcome, questionIndex: number): void;
  /** Keeps how much changes in the video, which takes a while to find out and is the same for every question. */
  readonly changes?: ChangeStore;
  /** Each frame with the tokens that were made of it, in order. */
  onFrame?(frame: Frame, block: TokenBlock): void | Promise<void>;
  /** Unlike `onFrame` it has nothing decoded that lies in a store. */
  readonly onlooker?: Onlooker;
}

/** Looks on while a video is made ready; under each allowance one after the other. */
export interface Onlooker {
  /** A frame that goes into the tower, in order; those that show the same again are not told. It may hold the work up. */
  onFrame(frame: Frame, video: { readonly frames: number; readonly grid: Grid }): void | Promise<void>;
  /** The video is ready; `name` is of all that its tokens depend on: see `AnswerOutcome.used`. */
  onVideo(name: string, tokens: VideoTokens, reused: Reuse): void;
}

/** Where the change of one video is kept. */
export interface ChangeStore {
  /** Null where nothing is kept. */
  read(): Promise<Float32Array | null>;
  /** Never throws: what cannot be kept is found out again. */
  write(change: Float32Array): Promise<void>;
}

/** Where encoded videos are kept; what cannot be kept or read is computed again, so nothing of it throws. */
export interface VideoStore {
  /** @param name 64 hexadecimal digits. */
  read(name: string): Promise<Uint8Array | null>;
  /** Whether it is there now. */
  write(name: string, bytes: Uint8Array): Promise<boolean>;
  /** What turned out not to be readable. */
  drop(name: string): Promise<void>;
}

/** How a video came to be in the language model: all of it new, its tokens from the store, or prefilled before. */
export type Reuse = 'none' | 'tokens' | 'prefix';

/** An encoded video of which a run made use, under one allowance. */
export interface UsedVideo {
  /** Of its file in the store: 64 hexadecimal digits. */
  readonly name: string;
  readonly reused: Reuse;
  /** Of that file, where it was read or is written now. */
  readonly bytes?: number;
  readonly durationSeconds: number;
  readonly frames: number;
  /** Visual tokens, without and with compression. */
  readonly tokens: { readonly before: number; readonly after: number };
}

/** What `answerVideo` gives back. */
export interface AnswerOutcome {
  /** Which encoded videos it took, of the first question first; only of a video that is known beyond this run. */
  readonly used?: readonly UsedVideo[];
  /** What was there before; default nothing. */
  readonly reused?: Reuse;
  readonly video: VideoInfo;
  readonly plan: Plan;
  /** Visual tokens of the whole video, without and with compression. */
  readonly tokens: { readonly before: number; readonly after: number };
  readonly frames: readonly SampledFrame[];
  readonly answers: readonly Answer[];
  readonly timings: Timings;
}
