/** What a run of the chaos test does. */
export interface ChaosOptions {
  readonly jobs: number;
  readonly kills: number;
  readonly workers: number;
  /** Decides the clips, who is killed, and which jobs are cancelled; when things happen depends on the machine too. */
  readonly seed: number;
}

/** Name of the queue, and prefix of all keys. */
export const queue = 'ask';
export const prefix = 'chaos';

/** A lost job is to come back soon, and no job is to be given up because others were killed before it. */
export const settings = {
  VISIONZIP_LOCK_MS: '1000',
  VISIONZIP_STALLED_CHECK_MS: '500',
  VISIONZIP_ABORT_GRACE_MS: '1000',
  VISIONZIP_MAX_STARTED_ATTEMPTS: '100',
  VISIONZIP_THREADS: '1',
} as const;

/** What a producer sets: attempts that a killed model process uses up, and the first pause between them. */
export const attempts = 20;
export const backoffMs = 100;
