import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { InputError } from '../src/errors.js';
import * as sample from '../src/pipeline/sample.js';
import type { Sampling } from '../src/pipeline/types.js';

/** The last frame stays on display for `hold` seconds. */
function sampleFrames(
  ptsSeconds: readonly number[],
  sampling: Sampling,
  frames: number,
  hold = 0.2,
): number[] {
  return sample.sampleFrames({ ptsSeconds, displayedSeconds: ptsSeconds.at(-1)! + hold }, sampling, frames);
}

/** Frames at a constant rate, from 0. */
const constant = (count: number, fps: number) => Array.from({ length: count }, (_, i) => i / fps);

describe('a number of frames', () => {
  test('is spaced equally over the frames, both ends included, rounded down', () => {
    // np.linspace(0, 9, 4) = 0, 3, 6, 9; np.linspace(0, 10, 4) = 0, 3.33, 6.67, 10
    expect(sampleFrames(constant(10, 5), { frames: 4 }, 8)).toEqual([0, 3, 6, 9]);
    expect(sampleFrames(constant(11, 5), { frames: 4 }, 8)).toEqual([0, 3, 6, 10]);
  });

  test('falls on the same frames as numpy where rounding decides', () => {
    // np.linspace(0, 218, 8, dtype=int) and np.linspace(0, 389, 16, dtype=int)
    expect(sampleFrames(constant(219, 24), { frames: 8 }, 1)).toEqual([0, 31, 62, 93, 124, 155, 186, 218]);
    expect(sampleFrames(constant(390, 30), { frames: 16 }, 1)).toEqual([
      0, 25, 51, 77, 103, 129, 155, 181, 207, 233, 259, 285, 311, 337, 363, 389,
    ]);
  });

  test('of one is the first', () => {
    expect(sampleFrames(constant(10, 5), { frames: 1 }, 8)).toEqual([0]);
  });

  test('above what there is takes each frame once', () => {
    expect(sampleFrames([0, 0.5, 0.6], { frames: 8 }, 8)).toEqual([0, 1, 2]);
  });

  test('is the default where nothing is asked for', () => {
    expect(sampleFrames(constant(10, 5), {}, 2)).toEqual([0, 9]);
  });
});

describe('a number of frames of a video with a variable rate', () => {
  // 60 frames a second for a second, then one every ten seconds
  const recording = [...constant(61, 60), 11, 21, 31, 41];

  test('is spaced equally over time, the ends included', () => {
    // On display at 0, 8.2, 16.4, 24.6, 32.8, 41 seconds
    expect(sampleFrames(recording, { frames: 6 }, 8)).toEqual([0, 60, 61, 62, 63, 64]);
  });

  test('takes each frame once: the neighbours of one that is on display several times', () => {
    // On display at 0, 20, 40, 60 seconds: 0, 1, 1, 4
    expect(sampleFrames([0, 10, 55, 56, 60], { frames: 4 }, 8)).toEqual([0, 1, 2, 4]);
  });

  test('goes by counting as long as no frame lies more than an interval beside a constant rate', () => {
    // Every fifth frame is missing: 0, 1, 2, 3, 5, 6, 7, 8, 10 …
    const dropped = constant(50, 10).filter((_, i) => i % 5 !== 4);
    // np.linspace(0, 39, 4, dtype=int)
    expect(sampleFrames(dropped, { frames: 4 }, 8)).toEqual([0, 13, 26, 39]);
  });
});

describe('a range', () => {
  test('holds the frames that are on display within it, ends included', () => {
    // 5 frames a second: 0.4 is frame 2, 1.2 is frame 6
    expect(sampleFrames(constant(10, 5), { frames: 9, startSeconds: 0.4, endSeconds: 1.2 }, 8)).toEqual([
      2, 3, 4, 5, 6,
    ]);
    expect(sampleFrames(constant(10, 5), { frames: 2, startSeconds: 0.4, endSeconds: 1.2 }, 8)).toEqual([
      2, 6,
    ]);
    // At 0.5 seconds frame 2 is still on display.
    expect(sampleFrames(constant(10, 5), { frames: 9, startSeconds: 0.5, endSeconds: 0.9 }, 8)).toEqual([
      2, 3, 4,
    ]);
  });

  test('between two frames holds the one that is on display', () => {
    expect(sampleFrames([0, 12, 22, 32], { startSeconds: 23, endSeconds: 29 }, 8)).toEqual([2]);
  });

  test('behind the last frame holds it, as long as it is shown', () => {
    expect(sampleFrames([0, 12, 22], { startSeconds: 30, endSeconds: 40 }, 8, 20)).toEqual([2]);
  });

  test('may end after the video', () => {
    expect(sampleFrames(constant(10, 5), { frames: 2, startSeconds: 1, endSeconds: 99 }, 8)).toEqual([5, 9]);
  });

  test('that starts after the end is an error that says when the video ends', () => {
    expect(() => sampleFrames(constant(10, 5), { startSeconds: 7, endSeconds: 9 }, 8)).toThrow(
      new InputError('no frame from `startSeconds` 7 on: the video is shown from 0 to 2 seconds', {
        fault: 'settings',
      }),
    );
  });
});

describe('a rate', () => {
  test('takes the frame on display at each tick', () => {
    expect(sampleFrames(constant(10, 5), { fps: 1 }, 8)).toEqual([0, 5]);
    expect(sampleFrames(constant(10, 5), { fps: 2.5 }, 8)).toEqual([0, 2, 4, 6, 8]);
  });

  test('above that of the video takes each frame once', () => {
    expect(sampleFrames(constant(4, 5), { fps: 50 }, 8)).toEqual([0, 1, 2, 3]);
  });

  test('follows time, not counting, where frames come irregularly', () => {
    // On display at 0, 1, 2, 3 seconds: frames 0, 2, 2 (already taken), 3
    expect(sampleFrames([0, 0.4, 0.9, 2.5, 3.3], { fps: 1 }, 8)).toEqual([0, 2, 3]);
  });

  test('keeps to its maximum by spacing that many equally', () => {
    expect(sampleFrames(constant(11, 5), { fps: 5, maxFrames: 4 }, 8)).toEqual([0, 3, 6, 10]);
  });
});

describe('settings that contradict themselves', () => {
  test.each([
    [{ frames: 0 }, '`frames` must be a whole number of at least 1, got 0'],
    [{ frames: 2.5 }, '`frames` must be a whole number of at least 1, got 2.5'],
    [{ fps: 0 }, '`fps` must be above 0 frames a second, got 0'],
    [{ fps: Number.NaN }, '`fps` must be above 0 frames a second, got NaN'],
    [{ frames: 2, fps: 1 }, 'give `frames` or `fps`, not both: got 2 and 1'],
    [{ maxFrames: 4 }, '`maxFrames` 4 bounds `fps`, which is not given: use `frames`'],
    [{ startSeconds: -1 }, '`startSeconds` must be at least 0, got -1'],
    [{ startSeconds: 3, endSeconds: 2 }, '`endSeconds` 2 lies before `startSeconds` 3'],
  ])('%o is a RangeError', (sampling, message) => {
    expect(() => sampleFrames(constant(10, 5), sampling, 8)).toThrow(new RangeError(message));
  });
});

describe('for every video and setting', () => {
  const gaps = fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 1, maxLength: 200 });
  const times = gaps.map((list) => {
    let at = 0;
    return list.map((gap) => {
      const pts = at / 1000;
      at += gap;
      return pts;
    });
  });

  test('indices ascend, each once, within the video', () => {
    const sampling = fc.oneof(
      fc.record({ frames: fc.integer({ min: 1, max: 300 }) }),
      fc.record({ fps: fc.double({ min: 0.01, max: 1000, noNaN: true }) }),
    );
    fc.assert(
      fc.property(times, sampling, (pts, settings) => {
        const chosen = sampleFrames(pts, settings, 8);
        expect(chosen.length).toBeGreaterThan(0);
        chosen.forEach((index, i) => {
          expect(index).toBeGreaterThan(i === 0 ? -1 : chosen[i - 1]!);
          expect(index).toBeLessThan(pts.length);
        });
      }),
    );
  });

  test('`frames` gives that many, or all there are, from first to last', () => {
    fc.assert(
      fc.property(times, fc.integer({ min: 2, max: 300 }), (pts, frames) => {
        const chosen = sampleFrames(pts, { frames }, 8);
        expect(chosen).toHaveLength(Math.min(frames, pts.length));
        expect(chosen[0]).toBe(0);
        expect(chosen.at(-1)).toBe(pts.length - 1);
      }),
    );
  });

  test('`fps` takes no more frames than ticks, and never more than `maxFrames`', () => {
    const rate = fc.double({ min: 0.1, max: 100, noNaN: true });
    fc.assert(
      fc.property(times, rate, fc.integer({ min: 1, max: 50 }), (pts, fps, maxFrames) => {
        const ticks = Math.floor((pts.at(-1)! + 1e-6) * fps) + 1;
        expect(sampleFrames(pts, { fps }, 8).length).toBeLessThanOrEqual(ticks);
        expect(sampleFrames(pts, { fps, maxFrames }, 8).length).toBeLessThanOrEqual(maxFrames);
      }),
    );
  });
});
