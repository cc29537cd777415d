import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sortingSampler } from '../scripts/bench/sorting-sampler.js';
import { argmax, createSampler } from '../src/pipeline/sampler.js';
import type { Generation } from '../src/pipeline/types.js';

/** Probabilities 0.5, 0.3, 0.15, 0.05 at temperature 1. */
const logits = Float32Array.of(0.5, 0.3, 0.15, 0.05).map(Math.log);

function draw(generation: Generation, count: number): number[] {
  const pick = createSampler(generation);
  return Array.from({ length: count }, () => pick(logits));
}

describe('createSampler', () => {
  it('is greedy by default, a tie going to the lower token', () => {
    expect(createSampler({})(logits)).toBe(0);
    expect(argmax(Float32Array.of(1, 3, 3))).toBe(1);
  });

  it('repeats itself with the same seed and not with another', () => {
    const one = draw({ temperature: 1, seed: 7 }, 40);
    expect(draw({ temperature: 1, seed: 7 }, 40)).toEqual(one);
    expect(draw({ temperature: 1, seed: 8 }, 40)).not.toEqual(one);
  });

  it('draws each token as often as its probability says', () => {
    const counts = [0, 0, 0, 0];
    for (const token of draw({ temperature: 1, seed: 1 }, 20_000)) counts[token]! += 1;
    // Standard error of a share at 20,000 draws is at most 0.0036.
    [0.5, 0.3, 0.15, 0.05].forEach((p, token) => {
      expect(Math.abs(counts[token]! / 20_000 - p)).toBeLessThan(0.015);
    });
  });

  it('keeps the k likeliest', () => {
    expect(new Set(draw({ temperature: 1, topK: 2, seed: 1 }, 500))).toEqual(new Set([0, 1]));
  });

  it('keeps the fewest tokens that reach the share p', () => {
    expect(new Set(draw({ temperature: 1, topP: 0.7, seed: 1 }, 500))).toEqual(new Set([0, 1]));
    expect(new Set(draw({ temperature: 1, topP: 0.1, seed: 1 }, 100))).toEqual(new Set([0]));
  });

  it('sharpens at a low temperature', () => {
    expect(new Set(draw({ temperature: 0.01, seed: 1 }, 500))).toEqual(new Set([0]));
  });

  it('makes tokens less likely that were there before, whether it samples or not', () => {
    const generation = { repetitionPenalty: 2 };
    const seen = Float32Array.of(3, 2, -1, -1.5);
    // 3 / 2 = 1.5 falls behind 2; of the answer's own 2 / 2 = 1 falls behind it again.
    const pick = createSampler(generation, [0, -1, 99]);
    expect([pick(seen), pick(seen)]).toEqual([1, 0]);
    // Negative ones fall as well: −1 × 2 = −2 behind −1.5.
    expect(createSampler(generation, [2])(Float32Array.of(-9, -9, -1, -1.5))).toBe(3);
    expect(createSampler({ repetitionPenalty: 1 }, [0])(seen)).toBe(0);
    expect([...seen]).toEqual([3, 2, -1, -1.5]);
    const sampled = createSampler({ temperature: 1, seed: 1, repetitionPenalty: 1e6 }, [0, 1, 2]);
    // Positive logits next to nothing: what was not there before is drawn.
    expect(sampled(Float32Array.of(100, 100, 100, 50))).toBe(3);
  });

  it('picks what sorting the vocabulary would, seed by seed', () => {
    // Whole numbers repeat themselves, so that ties lie at every cut; a masked word has −∞.
    const logit = fc.oneof(
      fc.integer({ min: -3, max: 3 }),
      fc.float({ min: -20, max: 20, noNaN: true }),
      fc.constantFrom(Number.NEGATIVE_INFINITY, -0, 0, -1e9),
    );
    const cases = fc.record(
      {
        logits: fc.array(logit, { minLength: 1, maxLength: 300 }).map((logits) => [...logits, 1]),
        temperature: fc.double({ min: 0.01, max: 10, noNaN: true }),
        topK: fc.integer({ min: 1, max: 350 }),
        topP: fc.double({ min: 0, minExcluded: true, max: 1, noNaN: true }),
        seed: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      },
      { requiredKeys: ['logits', 'temperature', 'seed'] },
    );
    fc.assert(
      fc.property(cases, ({ logits, ...generation }) => {
        const [pick, judge] = [createSampler(generation), sortingSampler(generation)];
        const values = Float32Array.from(logits);
        for (let i = 0; i < 10; i++) expect(pick(values)).toBe(judge(values));
      }),
      { numRuns: 2_000 },
    );
  });

  it('does so for a vocabulary of true size, whatever the order of its logits', () => {
    const V = 150_000;
    const shapes: ((i: number) => number)[] = [
      (i) => -i / V,
      (i) => i / V,
      (i) => -Math.abs(i - V / 2) / V,
      () => 1,
      (i) => 8 * Math.sin(i * i),
    ];
    for (const shape of shapes) {
      const logits = Float32Array.from({ length: V }, (_, i) => shape(i));
      const generation: Generation = { temperature: 1, topK: 1_000, topP: 0.9, seed: 5 };
      expect(createSampler(generation)(logits)).toBe(sortingSampler(generation)(logits));
    }
  });
});
