import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadModel } from '../src/models/load.js';
import { answerVideo } from '../src/pipeline/answer.js';
import { generate, prefillVideo } from '../src/pipeline/generate.js';
import { logProbability } from '../src/pipeline/likelihood.js';
import type { Answer, Generation } from '../src/pipeline/types.js';
import { fakeModel } from './fake-model.js';
import { ffmpeg, h264, temporaryFolder, testPattern } from './media.js';

const folder = temporaryFolder();

/** By the definition, in double precision. */
function logSoftmax(logits: Float32Array, token: number): number {
  const highest = logits.reduce((a, b) => Math.max(a, b));
  const sum = logits.reduce((total, logit) => total + Math.exp(logit - highest), 0);
  return logits[token]! - highest - Math.log(sum);
}

describe('the log probability of a token', () => {
  it('is that of the softmax, to a millionth', () => {
    const logits = fc.array(fc.float({ min: -80, max: 80, noNaN: true }), { minLength: 1, maxLength: 400 });
    fc.assert(
      fc.property(logits, fc.nat(), (values, any) => {
        const token = any % values.length;
        const all = Float32Array.from(values);
        expect(Math.abs(logProbability(all, token) - logSoftmax(all, token))).toBeLessThan(2e-6);
      }),
    );
  });

  it('is minus infinity where it cannot be, and no number where a logit is none', () => {
    expect(logProbability(Float32Array.of(-Infinity, 0), 1)).toBeCloseTo(0, 12);
    expect(logProbability(Float32Array.of(-900, 900), 0)).toBe(-Infinity);
    expect(logProbability(Float32Array.of(Number.NaN, 0), 1)).toBeNaN();
  });
});

describe('the likelihood of an answer', () => {
  async function ask(
    reply: Parameters<typeof fakeModel>[0][number],
    generation: Generation,
  ): Promise<Answer> {
    const model = fakeModel([reply]);
    const video = { grid: { rows: 1, columns: 1 }, framesTogether: 1, blocks: [] };
    const cache = await prefillVideo(model, [72], video);
    const events = generate(model, { question: 'why?', suffix: [63] }, cache, { generation });
    for await (const event of events) if (event.type === 'answer') return event.answer;
    throw new Error('no answer came');
  }

  /** Of the token with this logit, where 256 others have 0. */
  const share = (logit: number) => Math.exp(logit) / (Math.exp(logit) + 256);

  it('is the geometric mean of its tokens, the end included', async () => {
    const end = '\0';
    const { likelihood, newTokens } = await ask([{ a: 6 }, { b: 3 }, { [end]: 9 }], {});
    expect(newTokens).toBe(3);
    expect(likelihood).toBeCloseTo((share(6) * share(3) * share(9)) ** (1 / 3), 6);
  });

  it('has no end where the answer was cut off', async () => {
    const { likelihood, finishReason } = await ask([{ a: 6 }, { b: 3 }, { c: 9 }], { maxNewTokens: 2 });
    expect(finishReason).toBe('length');
    expect(likelihood).toBeCloseTo(Math.sqrt(share(6) * share(3)), 6);
  });

  it('is what the model gave before temperature, cuts and penalties', async () => {
    // The second "a" has a logit of 6 and, with the penalty, of 3: it is picked all the same.
    const generation = { temperature: 0.1, topK: 1, seed: 1, repetitionPenalty: 2, maxNewTokens: 2 };
    const { answer, likelihood } = await ask([{ a: 6 }, { a: 6 }], generation);
    expect(answer).toBe('aa');
    expect(likelihood).toBeCloseTo(share(6), 6);
  });

  it('is none where logits are no numbers', async () => {
    const answer = await ask([{ a: 6, b: Number.NaN }], { maxNewTokens: 1 });
    expect(answer).not.toHaveProperty('likelihood');
  });
});

describe('the likelihood of an answer of the shipped model', () => {
  let clip: string;

  beforeAll(async () => {
    clip = join(folder, 'clip.mp4');
    await ffmpeg(...testPattern(96, 96, 10, 2), ...h264(), clip);
  });

  it('is that of the likeliest tokens', async () => {
    const model = await loadModel(fileURLToPath(new URL('../models/nano', import.meta.url)));
    const logs: number[] = [];
    const forward: typeof model.language.forward = async (input, past) => {
      const out = await model.language.forward(input, past);
      const highest = out.logits.reduce((a, b) => Math.max(a, b));
      if (past) logs.push(logSoftmax(out.logits, out.logits.indexOf(highest)));
      return out;
    };
    try {
      const listened = { ...model, language: { ...model.language, forward } };
      const { answers } = await answerVideo(listened, { video: clip, questions: ['What moves?'] });
      const { likelihood, newTokens } = answers[0]!;
      expect(logs).toHaveLength(newTokens);
      const mean = logs.reduce((sum, log) => sum + log, 0) / newTokens;
      expect(likelihood).toBeCloseTo(Math.exp(mean), 6);
      expect(likelihood).toBeGreaterThan(0);
      expect(likelihood).toBeLessThan(1);
    } finally {
      await model.release();
    }
  }, 30_000);
});
