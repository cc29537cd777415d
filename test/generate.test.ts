import { describe, expect, it } from 'vitest';
import { generate, prefillVideo } from '../src/pipeline/generate.js';
import { settleGeneration } from '../src/pipeline/generation.js';
import type { Answer, Generation, VideoTokens } from '../src/pipeline/types.js';
import { fakeModel } from './fake-model.js';

/** A video of these visual tokens, a block each. */
function shown(...blocks: number[][]): Pick<VideoTokens, 'blocks' | 'grid' | 'framesTogether'> {
  return {
    grid: { rows: 1, columns: 1 },
    framesTogether: 1,
    blocks: blocks.map((embeds, first) => ({
      span: { first, last: first, startSeconds: first, endSeconds: first },
      ptsSeconds: first,
      T: embeds.length,
      embeds: Float32Array.from(embeds),
      origins: embeds.map((_, row) => ({ kind: 'dominant', crop: 0, rows: [row] })),
    })),
  };
}

async function ask(reply: string, generation: Generation, signal?: AbortSignal) {
  const model = fakeModel([reply]);
  const cache = await prefillVideo(model, [72, 256], shown([1000, 1001]));
  const heard: string[] = [];
  const texts: string[] = [];
  let answer: Answer | undefined;
  const question = { question: 'why?', suffix: [63] };
  for await (const event of generate(model, question, cache, { generation, signal })) {
    heard.push(event.type);
    if (event.type === 'text') texts.push(event.text);
    if (event.type === 'answer') answer = event.answer;
  }
  return { ...answer!, heard, texts, calls: model.calls };
}

/** A video of so many frames, a second apart. */
const video = (...ptsSeconds: number[]) => ({ ptsSeconds, durationSeconds: ptsSeconds.length });

describe('laying out', () => {
  it('writes the time of each frame before its image token, then the question', () => {
    const model = fakeModel([]);
    const { prefix, suffix } = model.chat.layOut(video(0, 1.25), ' which? ');
    expect(model.chat.detokenize(prefix.map((id) => (id === 256 ? 124 : id)))).toBe('0.0s|1.3s|');
    expect(model.chat.detokenize(suffix)).toBe('which?');
  });

  it('leaves the times out for a model that was not trained with them', () => {
    const { chat } = fakeModel([], { frameTimes: false });
    const { prefix } = chat.layOut(video(0, 1), 'which?');
    expect(prefix).toEqual([256, 256]);
  });

  it('refuses a question that holds a special token', () => {
    expect(() => fakeModel([]).chat.layOut(video(0), 'what is <image>?')).toThrow(/special token `<image>`/);
  });

  it('notices a template that drops frames', () => {
    const { chat } = fakeModel([], { render: () => 'no picture' });
    expect(() => chat.layOut(video(0), 'what?')).toThrow(/must give 1 image tokens, it gave 0/);
  });
});

describe('prefillVideo', () => {
  it('puts the visual tokens of each frame where its image token stands', async () => {
    const model = fakeModel([]);
    const cache = await prefillVideo(model, [72, 256, 73, 256], shown([1000, 1001], [2000]));
    expect(model.calls).toEqual([{ S: 5, before: 0, rows: [72, 1000, 1001, 73, 2000] }]);
    expect(cache.length).toBe(5);
  });
});

describe('generating', () => {
  it('answers until end-of-sequence, one decode step a token', async () => {
    const { answer, finishReason, newTokens, promptTokens, calls } = await ask(' red', {});
    expect(answer).toBe('red');
    expect(finishReason).toBe('stop');
    expect(newTokens).toBe(5); // four bytes and end-of-sequence
    expect(promptTokens).toBe(4); // 72, two visual tokens, 63
    // Prefill of the video, prefill of the question, then the token just picked after all before it.
    expect(calls.map(({ S, before }) => [S, before])).toEqual([
      [3, 0],
      [1, 3],
      [1, 4],
      [1, 5],
      [1, 6],
      [1, 7],
    ]);
  });

  it('stops at `maxNewTokens` and says so', async () => {
    const { answer, finishReason, newTokens } = await ask('abcdef', { maxNewTokens: 3 });
    expect([answer, finishReason, newTokens]).toEqual(['abc', 'length', 3]);
  });

  it('ends before a stop string and never streams a part of it', async () => {
    const { answer, finishReason, texts } = await ask('one\nQ: two', { stop: ['\nQ:'] });
    expect(answer).toBe('one');
    expect(finishReason).toBe('stop');
    expect(texts.join('')).toBe('one');
  });

  it('streams what looked like a stop string once it turns out not to be one', async () => {
    const { answer, texts } = await ask('a\nQb', { stop: ['\nQ:'] });
    expect(answer).toBe('a\nQb');
    expect(texts).toEqual(['a', '\nQb']);
  });

  it('holds half a UTF-8 character back until it is whole', async () => {
    const { texts, answer } = await ask('né', {});
    expect(texts).toEqual(['n', 'é']);
    expect(answer).toBe('né');
  });

  it('stops between decode steps when aborted', async () => {
    const controller = new AbortController();
    controller.abort(new Error('enough'));
    await expect(ask('abc', {}, controller.signal)).rejects.toThrow('enough');
  });
});

describe('what is not asked for of an answer', () => {
  const model = { samples: true, temperature: 0.7, topK: 20, topP: 0.8, repetitionPenalty: 1.1 };

  it("is greedy, with the model's own penalty for repetition", () => {
    expect(settleGeneration({}, model)).toEqual({ repetitionPenalty: 1.1 });
    expect(settleGeneration({ temperature: 0.5, topK: undefined }, model)).toEqual({
      ...{ temperature: 0.5, repetitionPenalty: 1.1 },
    });
    expect(settleGeneration({ repetitionPenalty: 1 }, model)).toEqual({ repetitionPenalty: 1 });
  });

  it("is the model's own where that is asked for, and sampled only if it samples", () => {
    const own = { temperature: 0.7, topK: 20, topP: 0.8, repetitionPenalty: 1.1 };
    expect(settleGeneration({ defaults: 'model', seed: 3 }, model)).toEqual({ ...own, seed: 3 });
    expect(settleGeneration({ defaults: 'model', temperature: 0 }, model)).toMatchObject({ temperature: 0 });
    expect(settleGeneration({ defaults: 'model' }, { ...model, samples: false })).toEqual({
      repetitionPenalty: 1.1,
    });
    // Its own length is not taken: the plan keeps room for the answer.
    expect(settleGeneration({ defaults: 'model' }, { ...model, maxNewTokens: 2048 })).toEqual(own);
  });

  it('counts the whole prompt and the answer as there before', async () => {
    const answered = async (prefix: number[]) => {
      const fake = fakeModel(['ab'], { generationDefaults: { repetitionPenalty: 2 } });
      const forward: typeof fake.language.forward = async (...args) => {
        const step = await fake.language.forward(...args);
        return { ...step, logits: step.logits.map((logit) => logit - 2) };
      };
      const model = { ...fake, language: { ...fake.language, forward } };
      const cache = await prefillVideo(model, prefix, shown([1000]));
      const question = { question: 'why?', prefix, suffix: [63] };
      for await (const event of generate(model, question, cache, { generation: { maxNewTokens: 2 } }))
        if (event.type === 'answer') return event.answer.answer;
    };
    // The next byte has −1, all others −2. One that was there before falls to −2 as well, and the tie goes to byte 0, the end.
    expect(await answered([256])).toBe('ab');
    expect(await answered([97, 256])).toBe('');
    expect(await answered([98, 256])).toBe('a');
  });
});
