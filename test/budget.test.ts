import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InputError } from '../src/errors.js';
import { splitBudget } from '../src/models/split-budget.js';
import { type PlanRequest, planTokens } from '../src/pipeline/budget.js';

/** 144 patches and CLS, 5 tokens of text a frame, 20 for template and question. */
const request: PlanRequest = {
  contextLength: 2048,
  maxNewTokens: 64,
  compression: 'auto',
  costOf: () => ({ N: 145, P: 144, defaultBudget: { dominant: 14, contextual: 3 } }),
  frames: 8,
  framesAreExplicit: false,
  textTokens: (frames) => 20 + 5 * frames,
};

describe('splitBudget', () => {
  it("gives the paper's splits", () => {
    expect([192, 128, 64, 32, 17].map(splitBudget)).toEqual([
      { dominant: 162, contextual: 30 },
      { dominant: 108, contextual: 20 },
      { dominant: 54, contextual: 10 },
      { dominant: 27, contextual: 5 },
      { dominant: 14, contextual: 3 },
    ]);
  });
});

describe('planTokens', () => {
  it("takes the model's own budget where there is room", () => {
    const plan = planTokens(request);
    expect(plan).toMatchObject({ frames: 8, tokensPerFrame: 17, budget: { dominant: 14, contextual: 3 } });
    expect(plan.promptTokens).toBe(20 + 8 * 5 + 8 * 17);
  });

  it('lowers the tokens of each frame before it drops frames', () => {
    // 2048 − 64 − 20 − 5 × 100 = 1464 → 14 tokens for each of 100 frames.
    const plan = planTokens({ ...request, frames: 100 });
    expect(plan).toMatchObject({ frames: 100, tokensPerFrame: 14, budget: { dominant: 12, contextual: 2 } });
    expect(plan.reason).toContain('14 instead of 17');
  });

  it('drops frames that nobody asked for, once a frame would get fewer than 8 tokens', () => {
    // (2048 − 64 − 20) / (5 + 8) = 151 frames.
    const plan = planTokens({ ...request, frames: 400 });
    expect(plan).toMatchObject({ frames: 151, tokensPerFrame: 8 });
    expect(plan.reason).toContain('151 of 400 frames');
  });

  it('keeps the frames that were asked for and shrinks their tokens', () => {
    const plan = planTokens({ ...request, frames: 300, framesAreExplicit: true });
    expect(plan).toMatchObject({ frames: 300, tokensPerFrame: 1, budget: { dominant: 1, contextual: 0 } });
  });

  it('fits fewer frames without compression', () => {
    // (2048 − 64 − 20) / (5 + 144) = 13 frames.
    expect(planTokens({ ...request, frames: 32, compression: 'none' })).toMatchObject({
      frames: 13,
      tokensPerFrame: 144,
      budget: null,
    });
  });

  it('says what would fit when the demand is impossible', () => {
    const demand = { ...request, frames: 32, framesAreExplicit: true, compression: 'none' } as const;
    // 2048 − 64 − (20 + 160) = 1804 → 56 tokens for each of 32.
    expect(() => planTokens(demand)).toThrow(
      '32 frames × 144 tokens = 4608 visual tokens do not fit: the context of 2048 leaves 1804 beside ' +
        '180 tokens of text and an answer of 64; what would fit: 13 frames at 144 tokens, or 32 frames at 56 tokens',
    );
  });

  it('refuses a question longer than the context', () => {
    expect(() => planTokens({ ...request, textTokens: (frames) => 3000 + frames })).toThrow(
      /question is too long: with the template and one frame it takes 3001 tokens/,
    );
  });

  it("refuses a budget above the frame's tokens", () => {
    expect(() => planTokens({ ...request, compression: { dominant: 140, contextual: 6 } })).toThrow(
      new InputError("token budget 140 + 6 exceeds the frame's 145 tokens", { fault: 'settings' }),
    );
  });

  describe('of a picture in crops', () => {
    /** Five crops of 576 patches and CLS; unpadded, with newlines, 2,340 tokens. */
    const picture: PlanRequest = {
      ...request,
      contextLength: 4096,
      costOf: () => ({ N: 577, P: 2340, defaultBudget: { dominant: 54, contextual: 10 } }),
      crops: 5,
      frames: 1,
      textTokens: () => 32,
    };

    it('gives each crop the budget', () => {
      const plan = planTokens(picture);
      expect(plan).toMatchObject({ crops: 5, tokensPerFrame: 320, tokensPerFrameBefore: 2340 });
      expect(plan.budget).toEqual({ dominant: 54, contextual: 10 });
      expect(plan.reason).toBe(
        'a picture in 5 crops with 64 tokens each (2340 in all without compression) fits the context of 4096 tokens',
      );
      expect(planTokens({ ...picture, compression: 'none' })).toMatchObject({
        tokensPerFrame: 2340,
        budget: null,
      });
    });

    it('shares what room there is among the crops', () => {
      // 300 − 64 − 32 = 204 tokens: 40 for each crop.
      const plan = planTokens({ ...picture, contextLength: 300 });
      expect(plan).toMatchObject({ tokensPerFrame: 200, budget: { dominant: 34, contextual: 6 } });
      // With 8 tokens a crop at least; who asks for the frame gets it down to 1.
      const tight = { ...picture, contextLength: 64 + 32 + 39 };
      expect(() => planTokens(tight)).toThrow('what would fit: 7 tokens a crop');
      expect(planTokens({ ...tight, framesAreExplicit: true })).toMatchObject({ tokensPerFrame: 35 });
      const none = { ...picture, contextLength: 64 + 32 + 4, framesAreExplicit: true };
      expect(() => planTokens(none)).toThrow('what would fit: no picture');
    });

    it('says what would fit', () => {
      expect(() => planTokens({ ...picture, contextLength: 2048, compression: 'none' })).toThrow(
        '2340 visual tokens of a picture in 5 crops do not fit: the context of 2048 leaves 1952 beside 32 tokens of ' +
          'text and an answer of 64; what would fit: 390 tokens a crop',
      );
    });
  });

  it('never goes over the context, whatever it is given', () => {
    fc.assert(
      fc.property(
        fc.record({
          contextLength: fc.integer({ min: 16, max: 5000 }),
          maxNewTokens: fc.integer({ min: 1, max: 512 }),
          frames: fc.integer({ min: 1, max: 600 }),
          framesAreExplicit: fc.boolean(),
          compression: fc.constantFrom('auto' as const, 'none' as const, { dominant: 54, contextual: 10 }),
          each: fc.integer({ min: 0, max: 9 }),
        }),
        ({ each, ...given }) => {
          const textTokens = (frames: number) => {
            // A prompt of no frames cannot be built.
            expect(frames).toBeGreaterThan(0);
            return 12 + each * frames;
          };
          let plan: ReturnType<typeof planTokens>;
          try {
            plan = planTokens({ ...request, ...given, textTokens });
          } catch (error) {
            expect(String(error)).toMatch(/do not fit|too long/);
            return;
          }
          expect(plan.promptTokens + given.maxNewTokens).toBeLessThanOrEqual(given.contextLength);
          expect(plan.frames).toBeGreaterThan(0);
          expect(plan.tokensPerFrame).toBeGreaterThan(0);
          if (given.framesAreExplicit) expect(plan.frames).toBe(given.frames);
        },
      ),
    );
  });
});
