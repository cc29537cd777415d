/** The pipeline without a queue: a loaded model and a video in, answers and timings out. */

export { FfmpegError, InputError } from '../errors.js';
export { defaultLimits } from '../media/open.js';
export type * from '../media/types.js';
export { loadModel } from '../models/load.js';
export { outlineModel } from '../models/outline.js';
export { shippedModel } from '../models/shipped.js';
export { splitBudget } from '../models/split-budget.js';
export type * from '../models/types.js';
export type { KvCache, Model } from '../models/types.js';
export { answerVideo, VideoSession } from './answer.js';
export { planTokens } from './budget.js';
export { compressFrame, keepAll } from './compress.js';
export * from './plan-video.js';
export { sampleFrames } from './sample.js';
export { readFrameVectors, type StoredVectors } from './stored-video.js';
export type * from './types.js';
