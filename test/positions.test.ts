import { describe, expect, it } from 'vitest';
import { oneDecimal, tellTimes } from '../src/models/families/qwen-vl.js';
import { placeTokens } from '../src/pipeline/positions.js';

const [WORD, VIDEO] = [5, 9];
const grid = { rows: 2, columns: 3 };

/** A block of a pair of frames, of which these tokens are kept, at half a second each frame. */
function block(first: number, rows: number[]) {
  const span = { first, last: first + 1, startSeconds: first / 2, endSeconds: (first + 1) / 2 };
  const origins = rows.map((row) => ({ kind: 'dominant' as const, crop: 0, rows: [row] }));
  return {
    span,
    origins,
    ptsSeconds: first / 2 + 0.25,
    T: rows.length,
    embeds: new Float32Array(rows.length),
  };
}

function place(
  prefix: number[],
  blocks: ReturnType<typeof block>[],
  rope: Parameters<typeof placeTokens>[3],
) {
  const { axes, next } = placeTokens(prefix, VIDEO, { blocks, grid, framesTogether: 2 }, rope);
  const S = axes.length / 3;
  return { axes: [0, 1, 2].map((axis) => [...axes.slice(axis * S, (axis + 1) * S)].map(Number)), next };
}

const all = [0, 1, 2, 3, 4, 5];

describe('positions in three axes', () => {
  // By hand from Qwen2-VL's section 2.1: two words at 0 and 1, the video from 2 on, words behind its largest number.
  it('count time by groups of frames, then rows and columns', () => {
    const blocks = [block(0, all), block(2, all)];
    expect(place([WORD, WORD, VIDEO, VIDEO, WORD], blocks, { time: 'groups' })).toEqual({
      axes: [
        [0, 1, ...Array(6).fill(2), ...Array(6).fill(3), 5],
        [0, 1, 2, 2, 2, 3, 3, 3, 2, 2, 2, 3, 3, 3, 5],
        [0, 1, 2, 3, 4, 2, 3, 4, 2, 3, 4, 2, 3, 4, 5],
      ],
      next: 6,
    });
  });

  it('leave a kept token where it stood, and the words behind, where others were left out', () => {
    // Of the second group nothing shows anything new: it was left out, and time goes on.
    const blocks = [block(0, [1, 5]), block(4, [3])];
    expect(place([WORD, VIDEO, VIDEO, WORD], blocks, { time: 'groups' })).toEqual({
      axes: [
        [0, 1, 1, 3, 4],
        [0, 1, 2, 2, 4],
        [0, 2, 3, 1, 4],
      ],
      next: 5,
    });
  });

  it('count time in seconds, and go on behind the last where it is the largest', () => {
    const blocks = [block(0, [0]), block(6, [0])];
    // Three seconds later, at two positions a second.
    const { axes, next } = place([VIDEO, VIDEO, WORD], blocks, { time: 'seconds', perSecond: 2 });
    expect(axes[0]).toEqual([0, 6, 7]);
    expect(next).toBe(8);
  });

  it('begin anew for each group that has its time in words before it', () => {
    const blocks = [block(0, [0, 4]), block(2, [2])];
    expect(place([WORD, VIDEO, WORD, VIDEO], blocks, { time: 'none' })).toEqual({
      axes: [
        [0, 1, 1, 4, 5],
        [0, 1, 2, 4, 5],
        [0, 1, 2, 4, 7],
      ],
      next: 8,
    });
  });
});

describe('times in words', () => {
  it('stand before each group of frames', () => {
    const marks = { start: '<s>', video: '<v>', end: '<e>' };
    expect(tellTimes('user <s><v><e>what?', marks, [0.25, 61])).toBe(
      'user <0.2 seconds><s><v><e><61.0 seconds><s><v><e>what?',
    );
  });

  it('are rounded as Python does', () => {
    const times = [0.25, 0.75, 1.25, 0.35, 0.05, 10.25, 3];
    // python3 -c "print([f'{t:.1f}' for t in times])"
    expect(times.map(oneDecimal)).toEqual(['0.2', '0.8', '1.2', '0.3', '0.1', '10.2', '3.0']);
  });
});
