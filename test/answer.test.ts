import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { InputError } from '../src/errors.js';
import { answerVideo, VideoSession } from '../src/pipeline/answer.js';
import { type CachedVideo, PrefixCache } from '../src/pipeline/prefix-cache.js';
import type {
  AnswerOutcome,
  AnswerRequest,
  Progress,
  TokenBlock,
  VideoStore,
} from '../src/pipeline/types.js';
import { FileDigests } from '../src/sources/digest.js';
import { fakeModel } from './fake-model.js';

/* The real stages around a scripted model: 4 patches and CLS a frame, a byte tokenizer, context 512. */

let folder: string;
let clip: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'visionzip-answer-'));
  clip = join(folder, 'clip.mp4');
  const source = ['-f', 'lavfi', '-i', 'testsrc2=size=64x64:rate=10:duration=2'];
  execFileSync('ffmpeg', ['-v', 'error', ...source, '-pix_fmt', 'yuv420p', clip]);
});

afterAll(() => rmSync(folder, { recursive: true }));

function request(more: Partial<AnswerRequest> = {}): AnswerRequest {
  return {
    video: clip,
    questions: ['What is it?'],
    // The scripted tower's tokens are all alike.
    overTime: { windows: 'keep', budget: 'even' },
    ...more,
  };
}

describe('answerVideo', () => {
  it('answers several questions on a video that is prefilled once', async () => {
    const model = fakeModel(['a test', 'no']);
    const outcome = await answerVideo(model, request({ questions: ['What is it?', 'Is it real?'] }));
    expect(outcome.answers.map(({ answer }) => answer)).toEqual(['a test', 'no']);
    const [video] = model.calls;
    expect(model.calls.filter(({ before }) => before === 0)).toHaveLength(1);
    expect(model.calls.filter(({ before }) => before === video!.S)).toHaveLength(2);
  });

  it('takes equally spaced frames with their true times, and writes the times into the prompt', async () => {
    const model = fakeModel(['yes']);
    const { frames } = await answerVideo(model, request({ sampling: { method: 'uniform' } }));
    // linspace(0, 19, 4), rounded down: 0, 6, 12, 19 of 20 frames at 10 a second.
    expect(frames.map(({ ptsSeconds }) => ptsSeconds)).toEqual([0, 0.6, 1.2, 1.9]);
    const text = String.fromCharCode(...model.calls[0]!.rows.filter((row) => row < 256));
    expect(text).toBe('0.0s0.6s1.2s1.9s');
  });

  it('puts the dominant, then the contextual tokens of each frame into the prompt', async () => {
    const model = fakeModel(['yes']);
    const { tokens, plan } = await answerVideo(model, request());
    // Scores 1, 2, 3, 4: CLS and row 4 are dominant; rows 1, 2, 3 merge into row 1: 1001 + (1002 + 1003) / 2, which in half
    // precision is 2004.
    const visual = model.calls[0]!.rows.filter((row) => row >= 1000);
    expect(visual.slice(0, 3)).toEqual([1000, 1004, 2004]);
    expect(tokens).toEqual({ before: 16, after: 12 });
    expect(plan.promptTokens).toBe(model.calls[0]!.S + 'What is it?'.length);
  });

  it('sends every patch token and no CLS without compression', async () => {
    const model = fakeModel(['yes']);
    const { tokens } = await answerVideo(model, request({ compression: 'none' }));
    const visual = model.calls[0]!.rows.filter((row) => row >= 1000);
    expect(visual.slice(0, 4)).toEqual([1001, 1002, 1003, 1004]);
    expect(tokens).toEqual({ before: 16, after: 16 });
  });

  it('reports its progress, each frame with what was kept of it, and the text as it comes', async () => {
    const progress: Progress[] = [];
    const kept: TokenBlock[] = [];
    const texts: string[] = [];
    await answerVideo(fakeModel(['ab']), request(), {
      onProgress: (step) => progress.push(step),
      onFrame: (frame, block) => {
        expect(block.span).toMatchObject({ first: frame.index, last: frame.index });
        kept.push(block);
      },
      onText: (_, text) => texts.push(text),
    });
    expect([...new Set(progress.map(({ stage }) => stage))]).toEqual([
      'probe',
      'choose',
      'encode',
      'generate',
    ]);
    expect(progress.at(-1)).toMatchObject({ framesDone: 4, framesTotal: 4, answersDone: 1, answersTotal: 1 });
    const origins = [
      { kind: 'dominant', crop: 0, rows: [0] },
      { kind: 'dominant', crop: 0, rows: [4] },
      { kind: 'contextual', crop: 0, rows: [1, 2, 3] },
    ];
    expect(kept.map((block) => block.origins)).toEqual(Array(4).fill(origins));
    expect(texts.join('')).toBe('ab');
  });

  it('fits frames that nobody asked for into the context', async () => {
    const model = fakeModel(['yes'], { contextLength: 110 });
    const { plan, frames } = await answerVideo(model, request({ generation: { maxNewTokens: 64 } }));
    // 110 − 64 − 11 for the question leaves 35; a frame takes 4 bytes of time and 3 tokens.
    expect(plan.frames).toBe(4);
    const tight = fakeModel(['yes'], { contextLength: 100 });
    const fewer = await answerVideo(tight, request({ generation: { maxNewTokens: 64 } }));
    expect(fewer.plan.frames).toBe(3);
    expect(fewer.frames).toHaveLength(3);
    expect(frames).toHaveLength(4);
  });

  it('gives a long question a pass of its own, so that company does not change an answer', async () => {
    const contextLength = 150;
    const short = 'What?';
    const long = `What ${'very '.repeat(14)}?`;
    const ask = async (questions: string[], replies: string[]) => {
      const model = fakeModel(replies, { contextLength });
      const { answers } = await answerVideo(model, request({ questions, generation: { maxNewTokens: 50 } }));
      return answers.map(({ answer, promptTokens }) => ({ answer, promptTokens }));
    };
    // 150 − 50 − 76 for the long question leaves room for 3 frames of 4 + 3; the short one has all 4.
    const together = await ask([short, long], ['one', 'two']);
    expect(together).toEqual([...(await ask([short], ['one'])), ...(await ask([long], ['two']))]);
    expect(together[0]!.promptTokens).toBe(4 * 7 + 5);
    expect(together[1]!.promptTokens).toBe(3 * 7 + 76);
  });

  it('refuses what cannot fit, before anything is decoded', async () => {
    const model = fakeModel([]);
    const many = request({
      sampling: { frames: 20 },
      compression: 'none',
      generation: { maxNewTokens: 400 },
    });
    await expect(answerVideo(model, many)).rejects.toThrow(
      /20 frames × 4 tokens.*do not fit.*what would fit/,
    );
    const long = request({ questions: ['why '.repeat(200)] });
    await expect(answerVideo(model, long)).rejects.toThrow(InputError);
    expect(model.calls).toEqual([]);
  });

  it('lets one limit be set and keeps the others', async () => {
    const small = request({ limits: { maxPixels: 64 } });
    await expect(answerVideo(fakeModel(['yes']), small)).rejects.toThrow(/64 pixels|at most 64/);
  });

  it('answers a question with options by a letter, beside others', async () => {
    const model = fakeModel([{ B: 3 }, 'a test']);
    const asked = { question: 'Which?', options: ['one', 'two'] };
    const texts: string[] = [];
    const { answers, plan } = await answerVideo(model, request({ questions: [asked, 'What is it?'] }), {
      onText: (_, text) => texts.push(text),
    });
    expect(answers[0]).toMatchObject({ ...asked, answer: 'B', choice: { letter: 'B', index: 1 } });
    // e³ : 1.
    expect(answers[0]!.choice!.likelihoods[1]).toBeCloseTo(Math.exp(3) / (1 + Math.exp(3)), 6);
    expect(answers[1]).toMatchObject({ question: 'What is it?', answer: 'a test' });
    expect(answers[1]).not.toHaveProperty('choice');
    expect(texts.join('')).toBe('Ba test');
    const suffix = String.fromCharCode(...model.calls[1]!.rows);
    expect(suffix).toMatch(/^Which\?\nA\. one\nB\. two\nAnswer with/);
    expect(plan.promptTokens).toBe(model.calls[0]!.S + suffix.length);
  });

  it('stops when aborted, with the reason', async () => {
    const controller = new AbortController();
    const stopping = answerVideo(fakeModel(['never']), request(), {
      signal: controller.signal,
      onFrame: () => controller.abort(new Error('enough')),
    });
    await expect(stopping).rejects.toThrow('enough');
  });

  it('accounts for the time of each stage', async () => {
    const { timings } = await answerVideo(fakeModel(['yes']), request());
    for (const stage of ['probeMs', 'decodeMs', 'preprocessMs', 'firstTokenMs'] as const) {
      expect(timings[stage]).toBeGreaterThan(0);
    }
    expect(timings.totalMs).toBeGreaterThanOrEqual(timings.firstTokenMs);
    expect(timings.queueMs).toBe(0);
  });
});

describe('what outlives a question', () => {
  const memory = () => {
    const kept = new Map<string, Uint8Array>();
    const store: VideoStore = {
      read: async (name) => kept.get(name) ?? null,
      write: async (name, bytes) => kept.set(name, bytes).has(name),
      drop: async (name) => void kept.delete(name),
    };
    return { kept, store };
  };
  const prefills = ({ calls }: ReturnType<typeof fakeModel>) => calls.filter(({ before }) => before === 0);

  it('is the tokens: a later session needs neither the file nor the tower', async () => {
    const { store, kept } = memory();
    const first = await new VideoSession(fakeModel(['one']), request(), { videoKey: 'v', store }).ask([
      'What?',
    ]);
    expect(first.reused).toBe('none');
    expect(kept.size).toBe(2);
    const later = fakeModel(['one'], { vision: { encode: () => Promise.reject(new Error('no tower')) } });
    const gone = { ...request(), video: join(folder, 'gone.mp4') };
    const second = await new VideoSession(later, gone, { videoKey: 'v', store }).ask(['What?']);
    expect(second).toMatchObject({
      ...{ reused: 'tokens', tokens: first.tokens, frames: first.frames, plan: first.plan },
      video: { ...first.video, path: gone.video },
      answers: [{ answer: 'one', promptTokens: first.answers[0]!.promptTokens }],
      timings: { probeMs: 0, chooseMs: 0, decodeMs: 0, preprocessMs: 0, encodeMs: 0 },
    });
    expect(prefills(later)).toHaveLength(1);
  });

  it('is nothing for another video, other settings, or where what is kept is damaged', async () => {
    const { store, kept } = memory();
    const ask = (videoKey: string, more = {}) =>
      new VideoSession(fakeModel(['a']), request(more), { videoKey, store }).ask(['What?']);
    await ask('v');
    expect((await ask('w')).reused).toBe('none');
    expect((await ask('v', { compression: 'none' })).reused).toBe('none');
    expect((await ask('v')).reused).toBe('tokens');
    for (const bytes of kept.values()) bytes[40]! ^= 1;
    expect((await ask('v')).reused).toBe('none');
    expect((await ask('v')).reused).toBe('tokens');
  });

  it('is the prefix: a later session does not prefill the video again', async () => {
    const prefixes = new PrefixCache(2 ** 20);
    const model = fakeModel(['one', 'two']);
    const first = await new VideoSession(model, request(), { videoKey: 'v', prefixes }).ask(['What?']);
    const second = await new VideoSession(model, request(), { videoKey: 'v', prefixes }).ask(['Where?']);
    expect([first.reused, second.reused]).toEqual(['none', 'prefix']);
    expect(prefills(model)).toHaveLength(1);
  });

  it('is nothing of a file that changed after its digest was taken', async () => {
    const { store, kept } = memory();
    const prefixes = new PrefixCache(2 ** 20);
    const { video } = request();
    const { identity } = await new FileDigests().name(video, 2 ** 30);
    const model = fakeModel(['a', 'b']);
    const ask = (of: string) =>
      new VideoSession(model, request(), { videoKey: 'v', identity: of, store, prefixes }).ask(['What?']);
    await expect(ask(`${identity}0`)).rejects.toThrow('changed after its digest was taken');
    expect(kept.size).toBe(0);
    expect((await ask(identity)).reused).toBe('none');
    expect((await ask(identity)).reused).toBe('prefix');
  });

  it('is encoded again for who wants to see its frames', async () => {
    const { store } = memory();
    const prefixes = new PrefixCache(2 ** 20);
    const session = () => new VideoSession(fakeModel(['a']), request(), { videoKey: 'v', store, prefixes });
    await session().ask(['What?']);
    const seen: number[] = [];
    await session().ask(['What?'], { onFrame: ({ index }) => void seen.push(index) });
    expect(seen).toEqual([0, 1, 2, 3]);
  });

  it('lets the video go that was asked about least recently', () => {
    const video = (bytes: number) =>
      ({ cache: { bytes }, tokens: { blocks: [{ embeds: new Float32Array(1) }] } }) as unknown as CachedVideo;
    const prefixes = new PrefixCache(100);
    prefixes.set('a', video(40));
    prefixes.set('b', video(40));
    prefixes.get('a');
    prefixes.set('c', video(40));
    expect(['a', 'b', 'c'].map((key) => prefixes.get(key) !== undefined)).toEqual([true, false, true]);
    // The latest stays, however large it is.
    prefixes.set('d', video(1000));
    expect(['a', 'c', 'd'].map((key) => prefixes.get(key) !== undefined)).toEqual([false, false, true]);
  });
});

describe('VideoSession', () => {
  it('encodes and prefills a video once for questions that come one after the other', async () => {
    const model = fakeModel(['a test', 'no']);
    const session = new VideoSession(model, request());
    const ready = await session.ask([]);
    expect(ready.answers).toEqual([]);
    expect(model.calls.map(({ before }) => before)).toEqual([0]);
    const frames: number[] = [];
    const onFrame = ({ index }: { index: number }) => void frames.push(index);
    const first = await session.ask(['What is it?'], { onFrame });
    const second = await session.ask(['Is it real?'], { onFrame });
    expect([first, second].map(({ answers }) => answers[0]!.answer)).toEqual(['a test', 'no']);
    expect(model.calls.filter(({ before }) => before === 0)).toHaveLength(1);
    expect(frames).toEqual([]);
    expect(second).toMatchObject({ tokens: ready.tokens, frames: ready.frames, plan: { frames: 4 } });
    expect(second.timings).toMatchObject({ probeMs: 0, encodeMs: 0, framesPerSecond: 0 });
  });

  it('encodes it anew for a question that leaves it less room, and again for a short one', async () => {
    const model = fakeModel(['one', 'two', 'three'], { contextLength: 150 });
    const session = new VideoSession(model, request({ generation: { maxNewTokens: 50 } }));
    const frames = [];
    for (const question of ['What?', `What ${'very '.repeat(14)}?`, 'What?'])
      frames.push((await session.ask([question])).plan.frames);
    expect(frames).toEqual([4, 3, 4]);
    expect(model.calls.filter(({ before }) => before === 0)).toHaveLength(3);
  });

  it('tells each answer when it is whole, with the video as it was encoded', async () => {
    const model = fakeModel(['one', 'two']);
    const told: unknown[] = [];
    const onAnswer = ({ answers, tokens }: AnswerOutcome) =>
      void told.push([answers.map(({ answer }) => answer), tokens.after, model.calls.length]);
    await answerVideo(model, request({ questions: ['a', 'b'] }), { onAnswer });
    // A prefill of the video; of each question a prefill and three steps: the first was told before the second began.
    expect(told).toEqual([
      [['one'], 12, 5],
      [['two'], 12, 9],
    ]);
  });
});
