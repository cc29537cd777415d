import { describe, expect, it } from 'vitest';
import { decodeFrames } from '../src/media/decode.js';
import { defaultLimits, openVideo } from '../src/media/open.js';
import type { Frame } from '../src/media/types.js';
import { answerVideo } from '../src/pipeline/answer.js';
import { dropDuplicates } from '../src/pipeline/duplicates.js';
import { batches } from '../src/pipeline/encode.js';
import { fakeModel } from './fake-model.js';
import { ffmpeg, h264, publishedClip, temporaryFolder } from './media.js';

const folder = temporaryFolder();

/** A grey frame of 32 × 32, with a square of another grey in its corner. */
function frame(index: number, grey: number, { square = grey, side = 2, width = 32 } = {}): Frame {
  const rgb = new Uint8Array(width * 32 * 3).fill(grey);
  for (let y = 0; y < side; y++) rgb.fill(square, y * width * 3, (y * width + side) * 3);
  return { index, ptsSeconds: index, width, height: 32, rgb };
}

async function pass(frames: readonly Frame[], together = 1): Promise<{ kept: number[]; dropped: number[] }> {
  async function* all() {
    yield* frames;
  }
  const dropped: number[] = [];
  const kept: number[] = [];
  for await (const group of dropDuplicates(batches(all(), together), (one) => void dropped.push(one.index)))
    kept.push(...group.map(({ index }) => index));
  return { kept, dropped };
}

describe('frames that show what the last kept one shows', () => {
  it('are left out, and told of', async () => {
    const greys = [90, 90, 92, 94, 95, 90];
    // 94 is 4 from 90, which does not count; 95 is 5 from 90, and 90 is 5 from 95.
    expect(await pass(greys.map((grey, i) => frame(i, grey)))).toEqual({
      kept: [0, 4, 5],
      dropped: [1, 2, 3],
    });
  });

  it('are kept where one patch of 256 differs, and where the size does', async () => {
    const one = frame(1, 90, { square: 110 }); // A patch is 2 × 2.
    const wide = frame(2, 90, { width: 64 });
    expect((await pass([frame(0, 90), one, wide])).kept).toEqual([0, 1, 2]);
    // A quarter of a patch, by 12: its mean moves by 3.
    expect((await pass([frame(0, 90), frame(1, 90, { square: 102, side: 1 })])).kept).toEqual([0]);
  });

  it('do not add up to a change that is never seen', async () => {
    const { kept } = await pass(Array.from({ length: 20 }, (_, i) => frame(i, 90 + i)));
    expect(kept).toEqual([0, 5, 10, 15]);
  });
});

describe('a video that stands still', () => {
  const still = `${folder}/still.mp4`;
  const request = {
    video: still,
    questions: ['What?'],
    sampling: { method: 'uniform' as const },
    overTime: { windows: 'keep' as const, budget: 'even' as const },
  };

  it('is encoded once for as long as it does; the result says which frames that was', async () => {
    const grey = ['-f', 'lavfi', '-i', 'color=gray:size=64x64:rate=10:duration=10'];
    await ffmpeg(...grey, '-vf', "drawbox=0:0:32:32:red:fill:enable='gte(t,5)'", ...h264(50), still);
    const blocks: number[] = [];
    const progress: number[] = [];
    const { frames, tokens, plan } = await answerVideo(fakeModel(['yes']), request, {
      onFrame: ({ index }) => void blocks.push(index),
      onProgress: ({ stage, framesDone }) => void (stage === 'encode' && progress.push(framesDone)),
    });
    // 0, 3.3, 6.6 and 9.9 seconds of which the first and the third are new; a frame has 3 tokens.
    expect(frames.map((one) => one.tokens)).toEqual([3, 0, 3, 0]);
    expect(frames.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
    expect(blocks).toEqual([0, 2]);
    expect([tokens, plan.frames]).toEqual([{ before: 16, after: 6 }, 4]);
    expect(Math.max(...progress)).toBe(4);
  });

  it.each([
    { overTime: { duplicates: 'keep' as const, windows: 'keep' as const } },
    { compression: 'none' as const },
  ])('is encoded frame by frame where that is asked for: %o', async (how) => {
    const { frames } = await answerVideo(fakeModel(['yes']), { ...request, ...how });
    expect(frames.every(({ tokens }) => tokens > 0)).toBe(true);
  });
});

describe('a published clip', () => {
  const nasa = publishedClip('nasa_13013.mp4');

  it.skipIf(nasa === null)('has a new scene at its cut, which is kept', async () => {
    const video = await openVideo(nasa!, defaultLimits);
    const behind = video.index.ptsSeconds.findIndex((pts) => pts >= 8.0);
    const indices = [behind - 2, behind - 1, behind + 1, behind + 2];
    const kept: number[] = [];
    const frames = decodeFrames(video, indices, { timeoutMs: 60_000 });
    for await (const [frame] of dropDuplicates(batches(frames, 1), () => {})) kept.push(frame!.index);
    expect(kept).toContain(2);
  });
});
