import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeFrames } from '../src/media/decode.js';
import { defaultLimits, openVideo } from '../src/media/open.js';
import { loadModel } from '../src/models/load.js';
import { shippedModel } from '../src/models/shipped.js';
import type { EncodedFrame } from '../src/models/types.js';
import { answerVideo } from '../src/pipeline/answer.js';
import { compressFrame } from '../src/pipeline/compress.js';
import { batches, encodeFrames } from '../src/pipeline/encode.js';
import { mergeClipWide } from '../src/pipeline/over-time/clip-wide.js';
import { compressFrames, framesTogether } from '../src/pipeline/over-time/compress-frames.js';
import { roundTogether, shareByNovelty } from '../src/pipeline/over-time/novelty.js';
import { weakenSinks } from '../src/pipeline/over-time/sinks.js';
import { noOverTime, stagesOf } from '../src/pipeline/over-time/stages.js';
import { findStaticWindows } from '../src/pipeline/over-time/windows.js';
import { StageClock } from '../src/pipeline/timings.js';
import type { OverTimeStages, TokenBlock } from '../src/pipeline/types.js';
import { ffmpeg, h264, publishedClip, temporaryFolder, testPattern } from './media.js';

const folder = temporaryFolder();

/** Frames whose CLS and patches point at these angles, in degrees; a patch's score is its place. */
function framesAt(angles: readonly (readonly number[])[]): EncodedFrame[] {
  return angles.map((own, index) => {
    const radians = own.map((angle) => (angle * Math.PI) / 180);
    const hidden = Float32Array.from(radians.flatMap((angle) => [Math.cos(angle), Math.sin(angle)]));
    const scores = Float32Array.from(own.slice(1), (_, patch) => patch + 1);
    return { index, ptsSeconds: index, N: own.length, D: 2, K: 2, hidden, keys: hidden, scores };
  });
}

/** A clip of `count` frames with `patches` patches, of which any may stay, move or jump. */
const clips = fc
  .record({
    count: fc.integer({ min: 1, max: 8 }),
    patches: fc.integer({ min: 1, max: 6 }),
    seed: fc.infiniteStream(fc.constantFrom(0, 0, 0, 10, 20, 90)),
  })
  .map(({ count, patches, seed }) => {
    const angles = [Array.from({ length: patches + 1 }, (_, i) => 37 * i)];
    while (angles.length < count) angles.push(angles.at(-1)!.map((angle) => angle + seed.next().value!));
    return framesAt(angles);
  });

describe('static windows', () => {
  it('hold a patch that stays against one that moves', () => {
    const frames = framesAt([
      [0, 0, 0],
      [0, 0, 90],
      [0, 5, 180],
      [0, 90, 90],
    ]);
    const windows = findStaticWindows(frames);
    expect(windows.map(({ first, end, isStatic }) => [first, end, ...isStatic])).toEqual([
      [0, 3, 1, 0],
      [3, 4, 0, 0],
    ]);
  });

  it('end where slow motion has led too far from their first frame', () => {
    // 20° apart: a cosine of 0.94 from frame to frame, 0.77 to the one after.
    const windows = findStaticWindows(framesAt([0, 20, 40, 60, 80, 100].map((angle) => [0, angle])));
    expect(windows.map(({ first, end }) => end - first)).toEqual([2, 2, 2]);
  });

  it('leave out as many tokens as any cut into windows can', () => {
    fc.assert(
      fc.property(clips, (frames) => {
        const P = frames[0]!.scores.length;
        const angleOf = (f: number, p: number) =>
          Math.atan2(frames[f]!.hidden[2 * p + 3]!, frames[f]!.hidden[2 * p + 2]!);
        const staysFrom = (first: number, f: number, p: number) =>
          Math.cos(angleOf(first, p) - angleOf(f, p)) > 0.9;
        const savedIn = (first: number, end: number) => {
          let still = 0;
          for (let p = 0; p < P; p++) {
            let stays = true;
            for (let f = first + 1; f < end; f++) stays &&= staysFrom(first, f, p);
            still += Number(stays);
          }
          return (end - first - 1) * still;
        };
        let best = 0;
        for (let cuts = 0; cuts < 2 ** (frames.length - 1); cuts++) {
          const borders = [0];
          for (let f = 1; f < frames.length; f++) if ((cuts >> (f - 1)) & 1) borders.push(f);
          borders.push(frames.length);
          const saved = borders.slice(1).reduce((sum, end, i) => sum + savedIn(borders[i]!, end), 0);
          best = Math.max(best, saved);
        }
        const windows = findStaticWindows(frames);
        const saved = windows.map(
          ({ first, end, isStatic }) => (end - first - 1) * isStatic.reduce((sum, one) => sum + one, 0),
        );
        expect(saved.reduce((a, b) => a + b, 0)).toBe(best);
        expect(windows.map(({ first }) => first)).toEqual([0, ...windows.slice(0, -1).map(({ end }) => end)]);
        expect(windows.at(-1)!.end).toBe(frames.length);
      }),
    );
  });
});

describe('a budget by novelty', () => {
  const bounds = { least: 2, most: 9 };

  it('gives more to a frame that is unlike those before it', () => {
    // CLS at 0, 0, 0, 90 and 0 degrees: the fourth is new, the fifth is as the first.
    const frames = framesAt(
      [
        [0, 1],
        [0, 1],
        [0, 1],
        [90, 1],
        [0, 1],
      ].map(([cls, ...rest]) => [cls!, ...rest]),
    );
    const shares = shareByNovelty(frames, 30, { least: 2, most: 20 });
    // 2 each, and of 20 a fifth of the half each, the other half for the first and the fourth.
    expect(shares).toEqual([9, 4, 4, 9, 4]);
  });

  it('is even where nothing is new', () => {
    expect(
      shareByNovelty(
        framesAt([
          [0, 1],
          [0, 1],
          [0, 1],
        ]),
        15,
        bounds,
      ),
    ).toEqual([5, 5, 5]);
  });

  it('never exceeds the total, nor the bounds', () => {
    fc.assert(
      fc.property(clips, fc.integer({ min: 2, max: 9 }), (frames, each) => {
        const shares = shareByNovelty(frames, each * frames.length, bounds);
        expect(shares.every((share) => share >= 2 && share <= 9)).toBe(true);
        expect(shares.reduce((a, b) => a + b, 0)).toBeLessThanOrEqual(each * frames.length);
      }),
    );
  });

  it('is rounded so that nothing is lost on the way', () => {
    expect(roundTogether([1.5, 1.5, 1.5, 1.5])).toEqual([2, 1, 2, 1]);
    expect(roundTogether([1.5, 0.75, 0.75, 0.9])).toEqual([2, 1, 0, 0]);
  });
});

describe('attention sinks', () => {
  it('count less the more often they win', () => {
    const frames = framesAt([
      [0, 0, 0, 0],
      [0, 0, 0, 0],
    ]).map((frame, i) => ({ ...frame, scores: Float32Array.from(i === 0 ? [5, 1, 4] : [5, 4, 1]) }));
    // The first patch wins both times, the others once each.
    const e = Math.exp(-1);
    const half = Math.exp(-0.5);
    const [first, second] = weakenSinks(frames, 2).map((scores) => [...scores]);
    for (const [got, expected] of [
      [first, [5 * e, half, 4 * half]],
      [second, [5 * e, 4 * half, half]],
    ] as const)
      for (const [i, value] of expected.entries()) expect(got![i]).toBeCloseTo(value, 5);
  });
});

describe('merging over the clip', () => {
  // 30 tokens at 0°, and two by themselves.
  const frames = framesAt([Array(16).fill(0), [...Array(14).fill(0), 90, 180]]);

  it('keeps what is unlike all others, and few of those that are alike', () => {
    for (let seed = 0; seed < 20; seed++) {
      const tokens = mergeClipWide(frames, 4, seed);
      expect(tokens).toHaveLength(4);
      expect(tokens.map(({ kept }) => kept)).toEqual(expect.arrayContaining([30, 31]));
      const all = tokens.flatMap(({ kept, joined }) => [kept, ...joined]);
      expect(all.sort((a, b) => a - b)).toEqual([...Array(32).keys()]);
      for (const { kept, token } of tokens.filter(({ kept }) => kept < 30))
        expect([kept >= 0, ...token]).toEqual([true, 1, 0]);
    }
  });

  it('is the same for the same seed, and not for each', () => {
    const keptWith = (seed: number) => mergeClipWide(frames, 4, seed).map(({ kept }) => kept);
    expect(keptWith(7)).toEqual(keptWith(7));
    expect(new Set(Array.from({ length: 10 }, (_, seed) => keptWith(seed).join())).size).toBeGreaterThan(1);
  });
});

const stages = fc.record<OverTimeStages>({
  duplicates: fc.constant('drop'),
  windows: fc.constantFrom('merge', 'keep'),
  budget: fc.constantFrom('novelty', 'even'),
  sinks: fc.constantFrom('weaken', 'keep'),
  dominant: fc.constantFrom('attention', 'suppressed', 'coverage'),
  merging: fc.constantFrom('frame', 'clip'),
});

describe('frames compressed together', () => {
  it('never get more tokens than the budget gives each, and every frame is told of', () => {
    fc.assert(
      fc.property(clips, stages, fc.integer({ min: 1, max: 7 }), (frames, wanted, tokens) => {
        const { N } = frames[0]!;
        const total = Math.min(tokens, N);
        const dominant = Math.max(1, total - 2);
        const made = compressFrames(frames, { dominant, contextual: total - dominant }, wanted);
        expect(made.map(({ index }) => index)).toEqual(frames.map(({ index }) => index));
        expect(made.reduce((sum, { T }) => sum + T, 0)).toBeLessThanOrEqual(total * frames.length);
        for (const { T, D, tokens: values, reach, dominantIndices, contextualMembers } of made) {
          expect(values.length).toBe(T * D);
          expect(dominantIndices.length + contextualMembers.length).toBe(T);
          expect(reach?.length ?? T).toBe(T);
        }
      }),
    );
  });

  it('are VisionZip as published where no stage is on', () => {
    const frames = framesAt([
      [0, 10, 20, 30, 40],
      [0, 10, 20, 30, 40],
    ]);
    const budget = { dominant: 2, contextual: 1 };
    expect(compressFrames(frames, budget, noOverTime)).toEqual(
      frames.map((frame) => compressFrame(frame, budget)),
    );
  });

  it('send what stands still once, as its mean, and what moves in every frame', () => {
    // Patch 1 sways by 10°, patch 2 turns by 90° a frame; CLS stays.
    const frames = framesAt([
      [0, 40, 0],
      [0, 50, 90],
      [0, 45, 180],
    ]);
    const made = compressFrames(frames, { dominant: 2, contextual: 0 }, { ...noOverTime, windows: 'merge' });
    const rows = made.map(({ dominantIndices }) => dominantIndices);
    expect(rows).toEqual([[0, 1, 2], [0, 2], [0]]);
    expect(made.map(({ standIns }) => standIns)).toEqual([undefined, 1, 1]);
    expect(made[0]!.reach).toEqual([
      { first: 0, last: 0 },
      { first: 0, last: 2 },
      { first: 0, last: 0 },
    ]);
    const mean = [40, 50, 45].map((angle) => Math.cos((angle * Math.PI) / 180));
    expect(made[0]!.tokens[2]).toBeCloseTo(mean.reduce((a, b) => a + b) / 3, 6);
  });
});

describe('the stages of a request', () => {
  it('are what is best at so many tokens with what is asked for, and none where every token is', () => {
    const duplicates = 'drop';
    expect(stagesOf(undefined, 15 / 144)).toEqual({ ...noOverTime, duplicates });
    expect(stagesOf({ budget: undefined }, 3 / 144)).toEqual({ ...noOverTime, duplicates, windows: 'merge' });
    expect(stagesOf({ windows: 'keep' }, 3 / 144)).toEqual({ ...noOverTime, duplicates });
    expect(stagesOf({}, 1)).toEqual(noOverTime);
  });
});

describe('a video through the shipped model', () => {
  it('keeps to its plan, and says of each frame what was made of it', async () => {
    const video = `${folder}/pattern.mp4`;
    await ffmpeg(...testPattern(128, 128, 10, 6), ...h264(20), video);
    const model = await loadModel(shippedModel);
    const blocks: TokenBlock[] = [];
    const frames = framesTogether + 5;
    const overTime = { windows: 'merge', budget: 'novelty' } as const;
    const request = {
      video,
      questions: ['How many objects are there in all?'],
      sampling: { frames },
      overTime,
    };
    const outcome = await answerVideo(model, request, {
      onFrame: (_, block) => void blocks.push(block),
    });
    const { plan, tokens } = outcome;
    expect(outcome.frames).toHaveLength(frames);
    expect(tokens.after).toBeLessThanOrEqual(frames * plan.tokensPerFrame);
    expect(tokens.after).toBe(outcome.frames.reduce((sum, frame) => sum + frame.tokens, 0));
    const own = blocks[0]!;
    expect(outcome.frames[0]!.static ?? 0).toBe(own.origins.filter(({ kind }) => kind === 'static').length);
    // The test pattern has parts that never move.
    expect(outcome.frames.some(({ standIns }) => (standIns ?? 0) > 0)).toBe(true);
    // Asked again together with another question, and frame by frame: the same tokens.
    const again = await answerVideo(model, {
      ...request,
      questions: ['Is there a red circle?', ...request.questions],
    });
    expect(again.answers[1]!.answer).toBe(outcome.answers[0]!.answer);
    expect(again.frames).toEqual(outcome.frames);
    await model.release();
  });
});

describe('a published clip', () => {
  const nasa = publishedClip('nasa_13013.mp4');

  it.skipIf(nasa === null)('has a new scene at its cut: nothing of the old one stands for it', async () => {
    const model = await loadModel(shippedModel);
    const video = await openVideo(nasa!, defaultLimits);
    const cut = video.index.ptsSeconds.findIndex((pts) => pts >= 8.0);
    const indices = [-6, -4, -2, -1, 1, 2, 4, 6].map((offset) => cut + offset);
    const frames: EncodedFrame[] = [];
    const decoded = decodeFrames(video, indices, { timeoutMs: 60_000 });
    for await (const { encoded } of encodeFrames(model, batches(decoded, 1), { clock: new StageClock() }))
      frames.push(...encoded);
    await model.release();
    const budget = { dominant: 13, contextual: 2 };
    const made = compressFrames(frames, budget, { ...noOverTime, windows: 'merge', budget: 'novelty' });
    expect(made.map(({ standIns = 0 }) => standIns > 0)).toEqual([
      false,
      true,
      true,
      true,
      false,
      true,
      true,
      true,
    ]);
    expect(made[4]!.T).toBeGreaterThan(3 * 15);
    for (const merging of ['frame', 'clip'] as const) {
      const [behind] = compressFrames(frames, budget, { ...noOverTime, merging }).slice(4);
      expect(behind!.T).toBeGreaterThan(0);
    }
  });
});
