import { cpus } from 'node:os';
import { loadModel } from '../../src/models/load.js';
import { answerVideo } from '../../src/pipeline/answer.js';
import type { WholeJobRequest } from './whole-jobs.js';

// One job in a process of its own, so that its peak memory is its own: REQUEST, in JSON. Prints JSON. The second of two counts.

const { dir, video, frames, compression } = JSON.parse(process.argv[2]!) as WholeJobRequest;
const model = await loadModel(dir, { threads: cpus().length });
const job = {
  ...{ video, compression, sampling: { frames, method: 'uniform' as const } },
  questions: ['What does the red rectangle do at the end of the video?'],
  overTime: { duplicates: 'keep' as const },
  generation: { maxNewTokens: 32 },
};
await answerVideo(model, job);
const { timings, plan, tokens, answers } = await answerVideo(model, job);
const runs = Math.ceil(plan.frames / plan.framesTogether);
const { name, dtype } = model;
console.log(
  JSON.stringify({
    ...{ name, dtype, frames: plan.frames, before: tokens.before, after: tokens.after },
    secondsARun: timings.encodeMs / runs / 1000,
    prefillSeconds: timings.prefillMs / 1000,
    firstTokenSeconds: timings.firstTokenMs / 1000,
    tokensPerSecond: timings.tokensPerSecond,
    newTokens: answers[0]!.newTokens,
    wholeOverOnnx: timings.totalMs / timings.onnxMs,
    outsideMs: timings.totalMs - timings.onnxMs,
    peakKib: process.resourceUsage().maxRSS,
  }),
);
await model.release();
