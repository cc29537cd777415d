import type { Fault } from '../errors.js';
import type { DecoderPrograms } from '../media/sandbox.js';
import type { Provider } from '../models/providers.js';
import type { AnswerOutcome, AnswerRequest, Progress } from '../pipeline/types.js';
import type { PackedSight } from './sight-maker.js';

/** A job for a model process. */
export interface ModelOrder {
  /** The model's folder, and the digest of what lies in it: another digest means loading anew. */
  readonly modelDir: string;
  readonly modelDigest: string;
  /** Threads of ONNX Runtime. */
  readonly threads: number;
  readonly provider: Provider;
  readonly request: AnswerRequest;
  /** Programs that read the video; default those of PATH. */
  readonly decoder?: DecoderPrograms;
  /** Folder for a picture of each frame with the kept patches marked; none are drawn without. */
  readonly saveFrames?: string;
  /** File that keeps how much changes in the video; default none. */
  readonly changeFile?: string;
  /** Names the video and all of the model that its tokens depend on: see `VideoSession`. */
  readonly videoKey?: string;
  /** Of the file that `videoKey` names: see `VideoSession`. */
  readonly identity?: string;
  /** Where encoded videos are kept; default nowhere. */
  readonly store?: { readonly dir: string; readonly limitBytes: number };
  /** Memory for prefilled videos; default for the latest alone. */
  readonly prefixBytes?: number;
  /** Keep the encoded video for the next order about it. Without questions it is only made ready. */
  readonly keepVideo?: boolean;
  /** Whether it is to be told what was seen of the video. */
  readonly tellSight?: boolean;
  /** Whether each answer is to be told when it is whole, and not only all at the end. */
  readonly tellAnswers?: boolean;
}

/** An error on its way between processes. */
export interface SentError {
  readonly name: string;
  readonly message: string;
  readonly code?: string;
  /** Of an InputError: running the job again cannot help. */
  readonly fault?: Fault;
}

/** What a model process is told. One run at a time; its number keeps late messages apart from the next. */
export type ToModel =
  | { readonly type: 'run'; readonly run: number; readonly order: ModelOrder }
  | { readonly type: 'abort'; readonly run: number }
  /** Whether a sight that was offered is to be made. */
  | { readonly type: 'wanted'; readonly run: number; readonly name: string; readonly isWanted: boolean };

/** What a model process says. Each run ends with one `done` or one `failed`. */
export type FromModel =
  | { readonly type: 'progress'; readonly run: number; readonly progress: Progress }
  | { readonly type: 'text'; readonly run: number; readonly questionIndex: number; readonly text: string }
  | {
      readonly type: 'answer';
      readonly run: number;
      readonly questionIndex: number;
      readonly outcome: AnswerOutcome;
    }
  /** What was seen of a video that was encoded before, by its name: it is made only where it is wanted. */
  | { readonly type: 'offer'; readonly run: number; readonly name: string }
  | { readonly type: 'sight'; readonly run: number; readonly sight: PackedSight }
  | { readonly type: 'done'; readonly run: number; readonly outcome: AnswerOutcome }
  | { readonly type: 'failed'; readonly run: number; readonly error: SentError };
