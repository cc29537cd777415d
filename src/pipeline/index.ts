/** The pipeline without a queue: a loaded model and a video in, answers and timings out. */

export { loadModel } from '../model/load.js';
export { shippedModel } from '../model/shipped.js';
export { answerVideo, VideoSession } from './answer.js';
export { planTokens, splitBudget } from './budget.js';
export { compressFrame, keepAll } from './compress.js';
export { FfmpegError, InputError } from './errors.js';
export type { KvCache, Model } from './model.js';
export { sampleFrames } from './sample.js';
export { defaultLimits } from './source.js';
export type * from './types.js';
