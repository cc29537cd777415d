import type { Model } from '../models/types.js';
import type { SessionOptions } from './answer.js';
import type { CachedVideo } from './prefix-cache.js';
import { StageClock } from './timings.js';
import type { Answer, Progress, Question, Reuse, UsedVideo, VideoTokens } from './types.js';

/** One call of `ask`: who listens, and what has come of it so far. */
export class Run {
  readonly clock = new StageClock();
  /** In the order of the questions. */
  readonly answers: Answer[] = [];
  /** Frames for which others stand in, under each allowance. */
  readonly damage: CachedVideo['substituted'][] = [];
  /** Of all allowances the least. */
  reused: Reuse = 'prefix';
  /** Under each allowance. */
  readonly used: UsedVideo[] = [];
  readonly signal: AbortSignal | undefined;
  readonly onnxMs: () => number;

  constructor(
    model: Model,
    readonly questions: readonly Question[],
    readonly listeners: SessionOptions,
  ) {
    const before = model.onnxMs();
    this.signal = listeners.signal;
    this.onnxMs = () => model.onnxMs() - before;
  }

  readonly report = (progress: Partial<Progress> & Pick<Progress, 'stage'>): void => {
    this.listeners.onProgress?.({
      framesDone: 0,
      framesTotal: 0,
      answersDone: Object.keys(this.answers).length,
      answersTotal: this.questions.length,
      ...progress,
    });
  };

  found(one: Pick<UsedVideo, 'name' | 'reused' | 'bytes'>, tokens: VideoTokens): UsedVideo {
    this.listeners.onlooker?.onVideo(one.name, tokens, one.reused);
    const order: readonly Reuse[] = ['none', 'tokens', 'prefix'];
    if (order.indexOf(one.reused) < order.indexOf(this.reused)) this.reused = one.reused;
    const { durationSeconds, frames } = tokens;
    const used = { ...one, durationSeconds, frames: frames.length, tokens: countTokens(tokens) };
    this.used.push(used);
    return used;
  }

  reportGenerating(frames: number): void {
    this.report({ stage: 'generate', framesDone: frames, framesTotal: frames });
  }
}

export function countTokens({ tokensBefore, blocks }: VideoTokens): UsedVideo['tokens'] {
  return { before: tokensBefore, after: blocks.reduce((sum, { T }) => sum + T, 0) };
}
