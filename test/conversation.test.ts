import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { InputError } from '../src/errors.js';
import { loadModel } from '../src/models/load.js';
import { shippedModel } from '../src/models/shipped.js';
import type { KvCache, Model, Turn } from '../src/models/types.js';
import { answerVideo, VideoSession } from '../src/pipeline/answer.js';
import { Conversation, cutsOf } from '../src/pipeline/conversation.js';
import { type CachedVideo, PrefixCache } from '../src/pipeline/prefix-cache.js';
import { fakeModel } from './fake-model.js';
import { ffmpeg, temporaryFolder, testPattern, yuv420p } from './media.js';

const folder = temporaryFolder();
const clip = join(folder, 'clip.mp4');
const request = { video: clip, overTime: { windows: 'keep', budget: 'even' } as const };

beforeAll(() => ffmpeg(...testPattern(64, 64, 10, 2), ...yuv420p, clip));

const textOf = (rows: readonly number[]) => String.fromCharCode(...rows.filter((row) => row < 256));

describe('the cuts of a conversation', () => {
  it('are the ends of the prompts with which the last one begins', () => {
    expect(cutsOf([[1, 2]])).toEqual([2]);
    expect(
      cutsOf([
        [1, 2],
        [1, 2, 3, 4],
        [1, 2, 3, 4, 5],
      ]),
    ).toEqual([2, 4, 5]);
    // The second question's prompt does not begin with the first one's; the third one's begins with both.
    expect(
      cutsOf([
        [1, 9],
        [1, 2, 3],
        [1, 2, 3, 4],
      ]),
    ).toEqual([3, 4]);
    // What the third has in common with the second ends within that.
    expect(
      cutsOf([
        [1, 2],
        [1, 2, 9],
        [1, 2, 3],
      ]),
    ).toEqual([2, 3]);
  });

  it('ascend to the end of the last prompt', () => {
    const prompts = fc.array(fc.array(fc.nat(1), { minLength: 1, maxLength: 5 }), { minLength: 1 });
    fc.assert(
      fc.property(prompts, (suffixes) => {
        const cuts = cutsOf(suffixes);
        expect(cuts).toEqual([...new Set(cuts)].sort((a, b) => a - b));
        expect(cuts.at(-1)).toBe(suffixes.at(-1)!.length);
      }),
    );
  });
});

describe('what a conversation keeps', () => {
  const video = (bytes: number) => ({ cache: { bytes }, tokens: { blocks: [] } }) as unknown as CachedVideo;
  const names = ['a', 'b', 'c'];

  /** One that keeps a question of so many bytes behind a video. */
  async function conversed(bytes: number, tensors: KvCache['tensors'] = {}): Promise<Conversation> {
    const conversation = new Conversation();
    const cache = { length: 2, nextPosition: 2, bytes, tensors };
    const behind = { length: 1, nextPosition: 1, bytes: 40, tensors: { keys: 'of the video' } };
    const forward = async () => ({ logits: new Float32Array(), cache });
    await conversation.prefill(forward, behind, { suffix: [1], cuts: [1] });
    return conversation;
  }

  it('counts beside the videos, the oldest of which give way to it', async () => {
    const prefixes = new PrefixCache(100);
    const conversation = await conversed(50);
    prefixes.join(conversation);
    prefixes.set('a', video(40));
    expect(conversation.bytes).toBe(50); // 90 of 100.
    prefixes.get('a');
    prefixes.makeRoom(conversation);
    expect(conversation.bytes).toBe(50);
    // With another video it would be 130: what was said of the one before goes first.
    prefixes.set('b', video(40));
    expect(conversation.bytes).toBe(0);
    const other = await conversed(50);
    prefixes.join(other);
    prefixes.makeRoom(other);
    expect(names.map((name) => prefixes.get(name) !== undefined)).toEqual([false, true, false]);
    expect(other.bytes).toBe(50);
  });

  it('stays with the latest video, however large it is', async () => {
    const prefixes = new PrefixCache(0);
    const conversation = await conversed(50);
    prefixes.join(conversation);
    prefixes.set('a', video(40));
    const next = await conversed(60);
    prefixes.join(next);
    prefixes.makeRoom(next);
    expect([next.bytes, prefixes.get('a')]).toEqual([60, video(40)]);
  });

  it('counts for nothing where it lies behind the video in the same buffer', async () => {
    expect((await conversed(50, { keys: 'of the video' })).bytes).toBe(0);
    expect((await conversed(50, { keys: 'a copy' })).bytes).toBe(50);
  });

  it('takes the place of another video as soon as a question is answered', async () => {
    const reuseWithin = async (limitBytes: number) => {
      const prefixes = new PrefixCache(limitBytes);
      const model = fakeModel(['red', 'blue', 'green']);
      const ask = (videoKey: string) =>
        new VideoSession(model, request, { videoKey, prefixes }).ask(['What?']);
      const { tokens } = await ask('v');
      await ask('w');
      const { reused } = await ask('v');
      // 4 bytes for each token of the cache, and 4 for what each visual token is embedded in.
      return { reused, ofVideo: 4 * model.calls[0]!.S + 4 * tokens.after };
    };
    const { reused, ofVideo } = await reuseWithin(2 ** 20);
    expect(reused).toBe('prefix');
    // Two videos have room, but not beside a copy of one of them with a question behind it.
    expect((await reuseWithin(2 * ofVideo)).reused).toBe('none');
    expect((await reuseWithin(4 * ofVideo)).reused).toBe('prefix');
  });
});

describe('a question with a history', () => {
  const history: Turn[] = [{ question: 'What?', answer: 'red' }];

  it('stands behind the earlier question and its answer', async () => {
    const model = fakeModel(['blue']);
    const { answers } = await answerVideo(model, { ...request, questions: ['Where?'], history });
    expect(answers[0]).toMatchObject({ question: 'Where?', answer: 'blue' });
    const [video, first, second] = model.calls;
    expect([textOf(first!.rows), textOf(second!.rows)]).toEqual(['What?', 'redWhere?']);
    expect([first!.before, second!.before]).toEqual([video!.S, video!.S + 5]);
  });

  it('goes on from where the earlier question lies prefilled', async () => {
    const model = fakeModel(['red', 'blue']);
    const session = new VideoSession(model, request);
    await session.ask(['What?']);
    const before = model.calls.length;
    await session.ask(['Where?'], { history });
    const [video] = model.calls;
    expect(model.calls[before]).toMatchObject({ S: 9, before: video!.S + 5 });
    expect(textOf(model.calls[before]!.rows)).toBe('redWhere?');
  });

  it('does not go on from another conversation', async () => {
    const model = fakeModel(['red', 'blue', 'green']);
    const session = new VideoSession(model, request);
    await session.ask(['What?']);
    const other = [{ question: 'Whom?', answer: 'red' }];
    await session.ask(['Where?'], { history: other });
    const parts = model.calls.filter(({ S }) => S > 1).map(({ rows }) => textOf(rows));
    expect(parts.slice(1)).toEqual(['What?', 'Whom?', 'redWhere?']);
  });

  it('is shown the video as without one, and drops the oldest turns where the context is full', async () => {
    const model = fakeModel(['blue'], { contextLength: 100 });
    const turns = ['one', 'two', 'three'].map((answer) => ({ question: `Is it ${answer}?`, answer }));
    const generation = { maxNewTokens: 40 };
    const asked = { ...request, generation, questions: ['Where?'] };
    const alone = await answerVideo(fakeModel(['blue'], { contextLength: 100 }), asked);
    const { plan, answers } = await answerVideo(model, { ...asked, history: turns });
    expect(plan).toEqual(alone.plan);
    // 100 − 40 − 28 of the video leave 32: "Is it three?" "three" "Where?" are 23, with "two" they are 36.
    expect(answers[0]).toMatchObject({ turnsDropped: 2, promptTokens: 28 + 23 });
    expect(alone.answers[0]).not.toHaveProperty('turnsDropped');
  });

  it('is refused where the template shows no earlier turns, or the history holds a special token', async () => {
    const deaf = fakeModel(['a'], {
      render: (parts) => parts.map((part) => (part.type === 'text' ? part.text : '<image>')).join(''),
    });
    const asked = { ...request, questions: ['Where?'] };
    await expect(answerVideo(deaf, { ...asked, history })).rejects.toMatchObject({
      fault: 'model',
      message: expect.stringContaining('cannot show what was asked and answered before'),
    });
    const special = [{ question: 'What?', answer: 'an <image>' }];
    const refused = answerVideo(fakeModel(['a']), { ...asked, history: special });
    await expect(refused).rejects.toThrow(InputError);
    await expect(refused).rejects.toMatchObject({ fault: 'question' });
  });
});

describe('a conversation with the shipped model', () => {
  const questions = ['How many objects are there?', 'What moves?', 'What moves?'];
  let model: Model;
  const video = join(folder, 'clip-000.mp4');

  beforeAll(async () => {
    const clips = fileURLToPath(new URL('../dist/scripts/clips.js', import.meta.url));
    await promisify(execFile)(process.execPath, [clips, '--seed', '5', '--count', '1', '--out', folder]);
    model = await loadModel(shippedModel, { threads: 2 });
  });
  afterAll(() => model.release());

  it('is answered as a fresh session given the same history is, whatever was cached', async () => {
    const heard = (logits: Float32Array[]): Model => ({
      ...model,
      language: {
        ...model.language,
        forward: async (input, past) => {
          const out = await model.language.forward(input, past);
          logits.push(out.logits);
          return out;
        },
      },
    });
    const live: Float32Array[] = [];
    const asked = { video, sampling: { frames: 4, method: 'uniform' } } as const;
    const session = new VideoSession(heard(live), asked);
    const history: Turn[] = [];
    for (const question of questions) {
      live.length = 0;
      const [answer] = (await session.ask([question], { history })).answers;
      const fresh: Float32Array[] = [];
      const [again] = (await answerVideo(heard(fresh), { ...asked, questions: [question], history })).answers;
      expect(again).toMatchObject({ answer: answer!.answer, promptTokens: answer!.promptTokens });
      // Every decode step to the last bit.
      const steps = answer!.newTokens;
      expect(live.slice(-steps)).toEqual(fresh.slice(-steps));
      history.push({ question, answer: answer!.answer });
    }
    expect(history).toHaveLength(3);
  });

  it('begins with the prompt of the question before', () => {
    const { chat } = model;
    const shown = { ptsSeconds: [0, 1], durationSeconds: 2 };
    const first = chat.layOut(shown, 'What?');
    const second = chat.layOut(shown, 'Where?', [{ question: 'What?', answer: 'red' }]);
    expect(second.prefix).toEqual(first.prefix);
    expect(second.suffix.slice(0, first.suffix.length)).toEqual(first.suffix);
    expect(chat.detokenize(second.suffix)).toMatch(/What\? ASSISTANT: red ?USER: Where\? ASSISTANT:$/);
  });
});
