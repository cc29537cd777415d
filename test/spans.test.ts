import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { loadModel } from '../src/models/load.js';
import { answerVideo } from '../src/pipeline/answer.js';
import { StageClock, stageNames } from '../src/pipeline/timings.js';
import type { StageSpans } from '../src/pipeline/types.js';
import { ffmpeg, h264, temporaryFolder, testPattern } from './media.js';

const folder = temporaryFolder();

describe('the spans of stages', () => {
  it('reach from the first moment to the last, and are none of what did not run', () => {
    const clock = new StageClock();
    clock.add('encodeMs', 5, 20);
    clock.add('encodeMs', 3, 40);
    clock.add('decodeMs', 10, 4); // Told a moment late: nothing begins before the job.
    const { spans, encodeMs } = clock.record({ decodeSteps: 0, onnxMs: 0 });
    expect(encodeMs).toBe(8);
    expect(spans).toEqual({ decode: [0, 4], encode: [15, 40] });
  });

  it('are told of each stage that ran, and when each question began', async () => {
    const clip = join(folder, 'clip.mp4');
    await ffmpeg(...testPattern(96, 96, 10, 2), ...h264(), clip);
    const model = await loadModel(fileURLToPath(new URL('../models/nano', import.meta.url)));
    try {
      const questions = ['What moves?', 'How many objects are there?'];
      const { answers, timings } = await answerVideo(model, { video: clip, questions });
      const spans = Object.entries(timings.spans!);
      expect(spans.map(([stage]) => `${stage}Ms`)).toEqual([...stageNames]);
      for (const [stage, [start, end]] of spans) {
        const busy = timings[`${stage}Ms` as (typeof stageNames)[number]];
        expect(start, stage).toBeGreaterThanOrEqual(0);
        expect(end, stage).toBeLessThanOrEqual(timings.totalMs);
        // A stage is busy for no longer than from its first moment to its last, but for rounding.
        expect(busy, stage).toBeLessThanOrEqual(end - start + 1);
      }
      const of = (stage: keyof StageSpans) => timings.spans![stage]!;
      expect(of('probe')[1]).toBeLessThanOrEqual(of('choose')[0]);
      expect(of('choose')[1]).toBeLessThanOrEqual(of('decode')[0] + 1);
      expect(of('encode')[0]).toBeGreaterThanOrEqual(of('decode')[0]);
      expect(of('prefill')[0]).toBeGreaterThanOrEqual(of('project')[1] - 1);
      const [first, second] = answers;
      expect(first!.startedMs!).toBeGreaterThanOrEqual(of('prefill')[0]);
      // One question after the other.
      expect(second!.startedMs!).toBeGreaterThanOrEqual(
        first!.startedMs! + first!.prefillMs + first!.generateMs - 1,
      );
      expect(of('generate')[1]).toBeGreaterThanOrEqual(second!.startedMs! + second!.prefillMs);
    } finally {
      await model.release();
    }
  }, 30_000);
});
