import type { AskJob, Result } from '../../../queues/schemas.js';
import type { Progress } from '../../pipeline/types.js';

/** A job for the model process. */
export interface LocalJob {
  readonly job: AskJob;
  /** Path of the model's folder. */
  readonly modelFolder: string;
  /** Where pictures of the frames go; none are drawn without. */
  readonly saveFrames?: string;
}

/** What the command tells the model process. */
export type Order = { readonly type: 'answer'; readonly job: LocalJob } | { readonly type: 'abort' };

/** What the model process tells the command. Each order `answer` ends with one `result` or one `error`. */
export type Report =
  | { readonly type: 'progress'; readonly progress: Progress }
  | { readonly type: 'text'; readonly questionIndex: number; readonly text: string }
  | { readonly type: 'result'; readonly result: Result }
  | {
      readonly type: 'error';
      readonly isInputError: boolean;
      readonly message: string;
      readonly stack?: string;
    };
