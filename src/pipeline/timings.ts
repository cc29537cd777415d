import type { Timings } from './types.js';

type StageMs =
  | 'probeMs'
  | 'decodeMs'
  | 'preprocessMs'
  | 'encodeMs'
  | 'compressMs'
  | 'projectMs'
  | 'prefillMs'
  | 'generateMs';

/** Fills the one record of timings of a job. */
export class StageClock {
  readonly #started = performance.now();
  readonly #stages: Record<StageMs, number> = {
    probeMs: 0,
    decodeMs: 0,
    preprocessMs: 0,
    encodeMs: 0,
    compressMs: 0,
    projectMs: 0,
    prefillMs: 0,
    generateMs: 0,
  };
  #firstTokenMs = 0;

  /** Runs `work` and adds its time to a stage, also when it throws. */
  async measure<T>(stage: StageMs, work: () => T | Promise<T>): Promise<T> {
    const started = performance.now();
    try {
      return await work();
    } finally {
      this.add(stage, performance.now() - started);
    }
  }

  add(stage: StageMs, ms: number): void {
    this.#stages[stage] += ms;
  }

  /** Counts once. */
  firstToken(): void {
    this.#firstTokenMs ||= performance.now() - this.#started;
  }

  /**
   * @param counts `framesMs` is the time from the first frame wanted to the last one compressed;
   *   `decodeSteps` are the runs of the decoder after each question's prefill.
   */
  record(counts: { frames: number; framesMs: number; decodeSteps: number; onnxMs: number }): Timings {
    const { frames, framesMs, decodeSteps, onnxMs } = counts;
    return {
      queueMs: 0,
      ...this.#stages,
      totalMs: performance.now() - this.#started,
      firstTokenMs: this.#firstTokenMs,
      onnxMs,
      tokensPerSecond: perSecond(decodeSteps, this.#stages.generateMs),
      framesPerSecond: perSecond(frames, framesMs),
    };
  }
}

function perSecond(count: number, ms: number): number {
  return ms > 0 ? (count * 1000) / ms : 0;
}
