import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { textOf } from '../../src/pipeline/questions.js';
import type { AnswerOutcome, AnswerRequest } from '../../src/pipeline/types.js';
import type { FromModel, ToModel } from '../../src/workers/messages.js';

/*
 * A model process without a model: its "video" is a JSON file that says for how many milliseconds it waits, and every answer is "yes". What a
 * job costs beside that is the queue's.
 */

process.on('disconnect', () => process.exit(1));
process.on('message', async (message: ToModel) => {
  if (message.type !== 'run') return;
  const { waitMs } = JSON.parse(readFileSync(message.order.request.video, 'utf8')) as { waitMs: number };
  if (waitMs > 0) await pause(waitMs);
  const done: FromModel = {
    type: 'done',
    run: message.run,
    outcome: outcomeOf(message.order.request, waitMs),
  };
  process.send!(done);
});

function outcomeOf({ video, questions }: AnswerRequest, waitMs: number): AnswerOutcome {
  const size = { sizeBytes: 1000, durationSeconds: 2, fps: 30, width: 64, height: 48 };
  const stages = { probeMs: 0, chooseMs: 0, decodeMs: 0, preprocessMs: 0, encodeMs: 0, compressMs: 0 };
  return {
    video: { path: video, ...size, codec: 'h264', warnings: [] } as unknown as AnswerOutcome['video'],
    plan: {
      ...{ frames: 2, events: 0, crops: 1, tokensPerFrame: 64, framesTogether: 1 },
      budget: { dominant: 54, contextual: 10 },
      ...{ tokensPerFrameBefore: 196, contextLength: 2048, promptTokens: 100, maxNewTokens: 64 },
      reason: 'nothing is computed',
    },
    tokens: { before: 392, after: 128 },
    frames: [
      { index: 0, ptsSeconds: 0, tokens: 64 },
      { index: 1, ptsSeconds: 1, tokens: 64 },
    ],
    answers: questions.map((question) => ({
      ...{ question: textOf(question), answer: 'yes', finishReason: 'stop' },
      ...{ promptTokens: 100, newTokens: 1, prefillMs: 0, generateMs: 0 },
    })),
    timings: {
      ...{ queueMs: 0, ...stages, projectMs: 0, prefillMs: 0, generateMs: 0, totalMs: waitMs },
      ...{ firstTokenMs: 0, onnxMs: waitMs, tokensPerSecond: 0, framesPerSecond: 0 },
    },
  } as AnswerOutcome;
}
