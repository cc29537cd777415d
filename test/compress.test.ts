import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runCase } from '../scripts/reference-case.js';
import type { EncodedFrame } from '../src/models/types.js';
import { type CompressOptions, compressFrame, keepAll } from '../src/pipeline/compress.js';

const fixtures = new URL('fixtures/visionzip', import.meta.url).pathname;
const golden = new URL('../../shared/golden', import.meta.url).pathname;

/** N = 5 with CLS, D = 2, K = 1; patch rows 1–4, of which 2 and 4 win attention. */
const frame: EncodedFrame = {
  index: 3,
  ptsSeconds: 1.5,
  N: 5,
  D: 2,
  K: 1,
  hidden: Float32Array.of(9, 9, 1, 10, 2, 20, 3, 30, 4, 40),
  keys: Float32Array.of(0, 1, 1, 1, 1),
  scores: Float32Array.of(0.1, 0.4, 0.2, 0.3),
};

describe('compressFrame', () => {
  it('keeps CLS and the patches with the highest scores, in raster order', () => {
    const { dominantIndices, tokens, T } = compressFrame(frame, { dominant: 3, contextual: 0 });
    expect(dominantIndices).toEqual([0, 2, 4]);
    expect([...tokens]).toEqual([9, 9, 2, 20, 4, 40]);
    expect(T).toBe(3);
  });

  it('adds to each target the mean of the tokens that joined it', () => {
    // Dominant CLS alone; rows 1–4 remain, contextual 1: stride 4, target row 1, rows 2, 3, 4 join it.
    // Sum: (1, 10) + ((2 + 3 + 4) / 3, (20 + 30 + 40) / 3) = (4, 40).
    const { tokens, contextualMembers } = compressFrame(frame, { dominant: 1, contextual: 1 });
    expect(contextualMembers).toEqual([[1, 2, 3, 4]]);
    expect([...tokens]).toEqual([9, 9, 4, 40]);
  });

  it('averages target and joined tokens when asked to', () => {
    const { tokens } = compressFrame(frame, { dominant: 1, contextual: 1 }, { merge: 'mean' });
    expect([...tokens]).toEqual([9, 9, 2, 20]);
  });

  it('spaces the targets evenly and joins each token to the most similar key', () => {
    // No CLS, row 5 dominant; rows 0–4 remain, contextual 2: stride 2, targets 0 and 2.
    // Keys: 1 is like 2's, 3 is like 0's, 4 has no length: cosine 0 with both, which goes to the first.
    const six: EncodedFrame = {
      index: 0,
      ptsSeconds: 0,
      N: 6,
      D: 1,
      K: 2,
      hidden: Float32Array.of(1, 2, 3, 4, 5, 6),
      keys: Float32Array.of(1, 0, 0, 2, 0, 1, 3, 0.1, 0, 0, 1, 1),
      scores: Float32Array.of(0, 0, 0, 0, 0, 1),
    };
    const { contextualMembers, tokens } = compressFrame(six, { dominant: 1, contextual: 2 });
    expect(contextualMembers).toEqual([
      [0, 3, 4],
      [2, 1],
    ]);
    // 6; 1 + (4 + 5) / 2; 3 + 2.
    expect([...tokens]).toEqual([6, 5.5, 5]);
  });

  it('gives a tie to the lower index', () => {
    const tied = { ...frame, scores: Float32Array.of(0.5, 0.5, 0.5, 0.5) };
    expect(compressFrame(tied, { dominant: 3, contextual: 0 }).dominantIndices).toEqual([0, 1, 2]);
  });

  it('has no special case for a budget of exactly N', () => {
    const { dominantIndices, contextualMembers, T } = compressFrame(frame, { dominant: 3, contextual: 2 });
    expect(T).toBe(5);
    expect(dominantIndices).toEqual([0, 2, 4]);
    expect(contextualMembers).toEqual([[1], [3]]);
  });

  it('refuses a budget that the frame cannot give, naming the numbers', () => {
    expect(() => compressFrame(frame, { dominant: 4, contextual: 2 })).toThrow(
      new RangeError("token budget 4 + 2 exceeds the frame's 5 tokens"),
    );
    expect(() => compressFrame(frame, { dominant: 0, contextual: 2 })).toThrow(
      /`dominant`.*at least 1.*got 0/,
    );
    expect(() => compressFrame(frame, { dominant: 1, contextual: -1 })).toThrow(/`contextual`.*got -1/);
  });

  it('refuses arrays whose sizes do not agree, and scores that are no numbers', () => {
    expect(() =>
      compressFrame({ ...frame, hidden: new Float32Array(9) }, { dominant: 1, contextual: 0 }),
    ).toThrow(/5 × 2 = 10 numbers, got 9/);
    expect(() =>
      compressFrame(
        { ...frame, scores: Float32Array.of(1, Number.NaN, 1, 1) },
        { dominant: 1, contextual: 0 },
      ),
    ).toThrow(/patch 1 is NaN/);
  });

  it('keeps every budget: counts, order, and each token used exactly once', () => {
    fc.assert(
      fc.property(arbitraryFrame(), ({ frame, budget }) => {
        const { tokens, T, dominantIndices, contextualMembers } = compressFrame(frame, budget);
        expect(T).toBe(budget.dominant + budget.contextual);
        expect(tokens.length).toBe(T * frame.D);
        expect(dominantIndices).toEqual([...dominantIndices].sort((a, b) => a - b));
        const used = [...dominantIndices, ...contextualMembers.flat()].sort((a, b) => a - b);
        const all = Array.from({ length: frame.N }, (_, row) => row);
        expect(used).toEqual(budget.contextual > 0 ? all : dominantIndices);
      }),
    );
  });
});

describe('another choice of the dominant patches', () => {
  // No CLS; the first two patches are alike, so are the last two, and the two pairs have nothing in common.
  const pairs: EncodedFrame = {
    ...{ index: 0, ptsSeconds: 0, N: 4, D: 1, K: 2 },
    hidden: Float32Array.of(1, 2, 3, 4),
    keys: Float32Array.of(1, 0, 2, 0, 0, 1, 0, 3),
    scores: Float32Array.of(10, 9, 5, 4),
  };
  const chosen = (select: CompressOptions['select'], dominant: number) =>
    compressFrame(pairs, { dominant, contextual: 0 }, { select }).dominantIndices;

  it('takes what gets most attention by default, alike or not', () => {
    expect(chosen(undefined, 2)).toEqual([0, 1]);
  });

  it('suppresses what is like a pick', () => {
    // After 0: 9 − 10 = −1 for its twin, 5 − e⁻²⁰ · 10 for the next. After that one its own twin has −1, the first one's a trifle less.
    expect(chosen('suppressed', 1)).toEqual([0]);
    expect(chosen('suppressed', 2)).toEqual([0, 2]);
    expect(chosen('suppressed', 3)).toEqual([0, 2, 3]);
  });

  it('covers the patches, the heaviest first', () => {
    // 0 and 1 cover 19, 2 and 3 cover 9: a tie goes to the lower one.
    expect(chosen('coverage', 1)).toEqual([0]);
    expect(chosen('coverage', 2)).toEqual([0, 2]);
    expect(chosen('coverage', 4)).toEqual([0, 1, 2, 3]);
  });
});

describe('keepAll', () => {
  it('gives every patch token without CLS', () => {
    const { T, tokens, dominantIndices } = keepAll(frame);
    expect(T).toBe(4);
    expect([...tokens]).toEqual([...frame.hidden.slice(2)]);
    expect(dominantIndices).toEqual([1, 2, 3, 4]);
  });
});

describe('the reference cases', () => {
  for (const folder of [fixtures, golden]) {
    const names = existsSync(folder) ? readdirSync(folder) : [];
    if (names.length === 0) it.skip(`no reference cases in ${folder}: not compared`);
    for (const name of names) {
      it(`agrees with ${name} to 1e-5, and in every index`, () => {
        const { maxAbsError, exact } = runCase(join(folder, name));
        expect(maxAbsError).toBeLessThanOrEqual(1e-5);
        expect(exact).toBe(true);
      });
    }
  }
});

function arbitraryFrame() {
  const float = fc.float({ min: -4, max: 4, noNaN: true });
  return fc.record({ P: fc.integer({ min: 1, max: 24 }), cls: fc.boolean() }).chain(({ P, cls }) => {
    const N = P + (cls ? 1 : 0);
    const floats = (length: number) =>
      fc.array(float, { minLength: length, maxLength: length }).map((values) => Float32Array.from(values));
    return fc
      .record({
        hidden: floats(N * 3),
        keys: floats(N * 2),
        scores: floats(P),
        dominant: fc.integer({ min: 1, max: N }),
        share: fc.double({ min: 0, max: 1, noNaN: true }),
      })
      .map(({ dominant, share, ...arrays }) => ({
        frame: { index: 0, ptsSeconds: 0, N, D: 3, K: 2, ...arrays },
        budget: { dominant, contextual: Math.floor(share * (N - dominant)) },
      }));
  });
}
