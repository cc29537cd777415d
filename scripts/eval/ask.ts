import { decodeFrames } from '../../src/media/decode.js';
import { defaultLimits, type OpenedVideo, openVideo } from '../../src/media/open.js';
import type { EncodedFrame, Model, Prompt } from '../../src/models/types.js';
import { batches, encodeFrames } from '../../src/pipeline/encode.js';
import { defaultMaxNewTokens, generate, prefillVideo } from '../../src/pipeline/generate.js';
import { sampleFrames } from '../../src/pipeline/sample.js';
import { StageClock } from '../../src/pipeline/timings.js';
import type { EvalClip } from './clips.js';
import type { Answered } from './results.js';
import type { Setting } from './settings.js';

/** Frames of a short clip, encoded once for all settings. `count` defaults to the model's. */
export async function encodeClip(model: Model, { file }: EvalClip, count?: number): Promise<EncodedFrame[]> {
  const video = await openVideo(file, defaultLimits);
  return encodeAt(model, video, sampleFrames(video, {}, count ?? model.defaults.frames));
}

/** In the order of `indices`, which ascend. */
export async function encodeAt(
  model: Model,
  video: OpenedVideo,
  indices: readonly number[],
): Promise<EncodedFrame[]> {
  const frames = decodeFrames(video, indices, { timeoutMs: defaultLimits.decodeTimeoutMs });
  const encoded: EncodedFrame[] = [];
  const clock = new StageClock();
  for await (const pair of encodeFrames(model, batches(frames, 1), { clock })) encoded.push(...pair.encoded);
  return encoded;
}

/** Shows the frames in one setting and asks every question, as a job does. */
export async function ask(
  model: Model,
  setting: Setting,
  frames: readonly EncodedFrame[],
  { id, rows }: Pick<EvalClip, 'id' | 'rows'>,
): Promise<Answered> {
  const started = performance.now();
  const visual = await setting.show(frames, id);
  const ptsSeconds = visual.map(({ span }) => span.startSeconds);
  const video = { ptsSeconds, durationSeconds: ptsSeconds.at(-1) ?? 0 };
  const prompts = rows.map(({ question }) => startedPrompt(model.chat.layOut(video, question)));
  const cache = await prefillVideo(model, prompts[0]!.prefix, {
    blocks: visual,
    grid: model.vision.grid,
    framesTogether: 1,
  });
  const predictions: string[] = [];
  for (const [i, { suffix }] of prompts.entries()) {
    requireRoom(model, cache.length + suffix.length, setting.id);
    const question = { question: rows[i]!.question, suffix };
    for await (const event of generate(model, question, cache, { generation: {} })) {
      if (event.type === 'answer') predictions.push(event.answer.answer);
    }
  }
  return { predictions, frames: frames.length, ms: performance.now() - started };
}

/** Without frames the prompts share nothing by the pipeline's rule; the decoder cannot prefill nothing. */
function startedPrompt({ prefix, suffix }: Prompt): Prompt {
  return prefix.length > 0 ? { prefix, suffix } : { prefix: suffix.slice(0, 1), suffix: suffix.slice(1) };
}

function requireRoom({ language: { contextLength } }: Model, promptTokens: number, setting: string): void {
  if (promptTokens + defaultMaxNewTokens <= contextLength) return;
  throw new RangeError(
    `the setting \`${setting}\` takes ${promptTokens} tokens and ${defaultMaxNewTokens} for the answer, ` +
      `the context has ${contextLength}: fewer \`--frames\``,
  );
}
