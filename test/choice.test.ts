import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { askJobSchema, resultSchema } from '../queues/index.js';
import { InputError } from '../src/errors.js';
import { chooseOption, logSumExp, scoreTexts, spellLetters } from '../src/pipeline/choose-option.js';
import { prefillVideo } from '../src/pipeline/generate.js';
import { bareOptions, letterOf, nameQuestion, renderQuestion } from '../src/pipeline/questions.js';
import type { Answer } from '../src/pipeline/types.js';
import { contentKey } from '../src/workers/store.js';
import { fakeModel } from './fake-model.js';
import { temporaryFolder } from './media.js';
import { cli, documentOf } from './support/cli.js';

const question = 'What colour?';

describe('a question with options', () => {
  it('is a line for each option behind its letter, and the sentence that asks for the letter', () => {
    const lines = [
      'What colour?',
      'A. red',
      'B. dark blue',
      "Answer with the option's letter from the given choices directly.",
    ];
    expect(renderQuestion({ question: ' What colour? ', options: ['red', ' dark blue '] })).toBe(
      lines.join('\n'),
    );
    expect(renderQuestion({ question, options: ['A. red', '(B) dark blue'] })).toBe(lines.join('\n'));
    expect(renderQuestion(question)).toBe(question);
  });

  it('keeps letters that belong to the text', () => {
    expect(bareOptions(['A. J. Cook', 'C. S. Lewis'])).toEqual(['A. J. Cook', 'C. S. Lewis']);
    expect(bareOptions(['A', 'B'])).toEqual(['A', 'B']);
  });

  it('is refused with too few, too many or empty options', () => {
    const render = (options: string[]) => () => renderQuestion({ question, options });
    expect(render(['red'])).toThrow(
      new InputError('a question with options has 2 to 26 of them, this one has 1', { fault: 'question' }),
    );
    expect(render(Array(27).fill('x'))).toThrow('has 27');
    expect(render(['red', ' '])).toThrow('each option of a question has a text, option B is empty');
    const job = (questions: unknown) => askJobSchema.safeParse({ video: 'a', questions });
    expect(job([{ question, options: ['red', 'blue'] }, 'why?']).success).toBe(true);
    expect(job({ question, options: ['red', 'blue'] }).data!.questions).toHaveLength(1);
    for (const options of [['red'], Array(27).fill('x'), ['red', ' ']])
      expect(job([{ question, options }]).success).toBe(false);
    expect(job([{ question, options: ['a', 'b'], answer: 'a' }]).success).toBe(false);
  });

  it('has a name and a content key of its own', () => {
    const asked = [
      question,
      { question, options: ['red', 'blue'] },
      { question, options: ['blue', 'red'] },
      { question: 'Why?', options: ['red', 'blue'] },
    ];
    expect(new Set(asked.map(nameQuestion)).size).toBe(4);
    expect(nameQuestion({ question })).toBe(nameQuestion(question));
    const job = askJobSchema.parse({ video: 'a', questions: asked });
    const model = { digest: 'm', dtype: 'fp32' };
    const parts = { videoDigest: 'v', model, provider: 'cpu' as const, job };
    expect(new Set(asked.map((one) => contentKey({ ...parts, question: one }))).size).toBe(4);
  });
});

const frame = {
  span: { first: 0, last: 0, startSeconds: 0, endSeconds: 0 },
  ...{ ptsSeconds: 0, T: 1, embeds: Float32Array.of(1000) },
  origins: [{ kind: 'dominant' as const, crop: 0, rows: [0] }],
};
const video = { grid: { rows: 1, columns: 1 }, framesTogether: 1, blocks: [frame] };

type Tokenize = (text: string) => number[];

async function choose(
  reply: Parameters<typeof fakeModel>[0][number],
  options: string[],
  tokenize?: Tokenize,
  signal?: AbortSignal,
) {
  const fake = fakeModel([reply]);
  const model = tokenize ? { ...fake, chat: { ...fake.chat, tokenize } } : fake;
  const cache = await prefillVideo(model, [256], video);
  const heard: string[] = [];
  let answer: Answer | undefined;
  for await (const event of chooseOption(model, { question, options, suffix: [63] }, cache, { signal })) {
    heard.push(event.type === 'text' ? event.text : event.type);
    if (event.type === 'answer') answer = event.answer;
  }
  return { answer: answer!, heard, calls: fake.calls };
}

const bytes = (text: string) => [...new TextEncoder().encode(text)];

describe('chooseOption', () => {
  it('takes the likeliest letter in one run, whatever else is likelier', async () => {
    // e^ln 1 : e^ln 3 : e^ln 4 = 1 : 3 : 4, of 8.
    const logits = { A: 0, B: Math.log(3), C: Math.log(4), Z: 50 };
    const { answer, heard, calls } = await choose(logits, ['red', 'blue', 'green']);
    expect(answer).toMatchObject({ question, options: ['red', 'blue', 'green'], answer: 'C' });
    expect(answer.choice).toMatchObject({ letter: 'C', index: 2 });
    [1 / 8, 3 / 8, 4 / 8].forEach((likelihood, i) => {
      expect(answer.choice!.likelihoods[i]).toBeCloseTo(likelihood, 6);
    });
    expect(heard).toEqual(['firstToken', 'C', 'answer']);
    expect(calls.map(({ S, before }) => [S, before])).toEqual([
      [1, 0],
      [1, 1],
    ]);
    expect(answer).toMatchObject({ promptTokens: 2, newTokens: 1, finishReason: 'stop' });
  });

  it('takes the lower of two that are as likely', async () => {
    expect((await choose({ B: 2, C: 2 }, ['1', '2', '3'])).answer.choice!.index).toBe(1);
  });

  it('adds up both spellings where the tokenizer has both as one token', async () => {
    // " A" and " B" are a and b: A has 2 + 3, B has 4 + 2, of 11.
    const tokenize = (text: string) => bytes(text.replace(/ ([A-Z])/g, (_, letter) => letter.toLowerCase()));
    const logits = { A: Math.log(2), a: Math.log(3), B: Math.log(4), b: Math.log(2) };
    const { answer } = await choose(logits, ['red', 'blue'], tokenize);
    expect(answer.answer).toBe('B');
    expect(answer.choice!.likelihoods[0]).toBeCloseTo(5 / 11, 6);
    expect(answer.choice!.likelihoods[1]).toBeCloseTo(6 / 11, 6);
  });

  it('adds up the tokens of a letter that has several', async () => {
    // Every letter is a colon and itself. Behind the colon, A : B = 1 : 3; all else is as unlikely for both.
    const tokenize = (text: string) => bytes(text.replace(/ ?([A-Z])/g, ':$1'));
    const { answer, calls } = await choose([{ ':': 5 }, { A: 0, B: Math.log(3) }], ['red', 'blue'], tokenize);
    expect(answer.choice!.likelihoods[1]).toBeCloseTo(3 / 4, 6);
    // The video, the question, and the colon once for both letters.
    expect(calls.map(({ rows }) => rows)).toEqual([[1000], [63], [58]]);
  });

  it('blames a model whose logits are no numbers', async () => {
    await expect(choose({ A: Number.NaN }, ['red', 'blue'])).rejects.toThrow(
      new InputError('expected a likelihood of each option from the model, got NaN, NaN', { fault: 'model' }),
    );
  });

  it('stops when aborted, with the reason', async () => {
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(choose('A', ['red', 'blue'], undefined, signal)).rejects.toThrow('enough');
  });
});

describe('spellLetters', () => {
  it('takes the spellings in which every letter is one token', () => {
    expect(spellLetters({ tokenize: bytes }, 2)).toEqual([[[65], [66]]]);
    // A first token of its own, and a space before what begins a text, as Llama's tokenizer writes.
    const llama = (text: string) => [1, ...bytes(` ${text}`.replace(/ ([A-Z])/g, (_, l) => l.toLowerCase()))];
    expect(spellLetters({ tokenize: llama }, 2)).toEqual([
      [[65], [66]],
      [[97], [98]],
    ]);
  });

  it('takes whole sequences where there is no such spelling, and a spelling once', () => {
    const paired = (text: string) => bytes(text.replace(/ ?([A-Z])/g, '$1$1'));
    expect(spellLetters({ tokenize: paired }, 2)).toEqual([
      [
        [65, 65],
        [66, 66],
      ],
    ]);
  });
});

describe('scoreTexts', () => {
  /** A decoder whose next logits depend on all it has read. */
  const logitsAfter = (read: readonly number[]) =>
    Float32Array.from({ length: 4 }, (_, i) => Math.sin(read.reduce((sum, id) => 7 * sum + id + 1, i)));
  const stateOf = (ids: readonly number[]) => ({ logits: logitsAfter(ids), cache: ids as never });

  it('sums log probabilities along each text, and those of all texts of one length are 1', async () => {
    const text = fc.array(fc.nat(3), { minLength: 1, maxLength: 4 });
    const read = async (ids: readonly number[], past: unknown) => stateOf([...(past as number[]), ...ids]);
    await fc.assert(
      fc.asyncProperty(fc.array(text, { minLength: 1, maxLength: 6 }), async (texts) => {
        const logs = await scoreTexts(read, stateOf([]), texts);
        texts.forEach((ids, i) => {
          const steps = ids.map((id, k) => {
            const logits = logitsAfter(ids.slice(0, k));
            return logits[id]! - logSumExp(logits);
          });
          expect(logs[i]).toBeCloseTo(
            steps.reduce((sum, log) => sum + log, 0),
            6,
          );
        });
      }),
    );
    const pairs = Array.from({ length: 16 }, (_, i) => [i >> 2, i & 3]);
    const logs = await scoreTexts(read, stateOf([]), pairs);
    expect(Math.exp(logSumExp(logs))).toBeCloseTo(1, 6);
  });
});

describe('visionzip ask --option', () => {
  const folder = temporaryFolder();
  const clip = join(folder, 'clip-000.mp4');
  const env = { VISIONZIP_HOME: join(folder, 'home') };
  beforeAll(async () => {
    const clips = fileURLToPath(new URL('../dist/scripts/clips.js', import.meta.url));
    await promisify(execFile)(process.execPath, [clips, '--seed', '5', '--count', '1', '--out', folder]);
  });

  it('answers with a letter, and says how likely each was', async () => {
    const args = [
      'ask',
      clip,
      'What moves?',
      'How many?',
      '--option',
      'one',
      '--option',
      'two',
      '--option',
      'C',
    ];
    const run = await cli([...args, '--json'], env);
    expect([run.code, run.stderr]).toEqual([0, '']);
    const { answers } = resultSchema.parse(documentOf(run));
    expect(answers.map(({ question: text, options }) => [text, options])).toEqual([
      ['What moves?', ['one', 'two', 'C']],
      ['How many?', ['one', 'two', 'C']],
    ]);
    for (const { answer, choice } of answers) {
      const { letter, index, likelihoods } = choice!;
      expect([answer, letterOf(index)]).toEqual([letter, letter]);
      expect(likelihoods).toHaveLength(3);
      expect(likelihoods.reduce((sum, one) => sum + one, 0)).toBeCloseTo(1, 6);
      expect(Math.max(...likelihoods)).toBe(likelihoods[index]);
    }
    const text = await cli(args, env);
    const options = ['A. one', 'B. two', 'C. C'];
    expect(text.stdout).toBe(
      answers.map((one) => `${one.question}\n${options[one.choice!.index]}\n\n`).join(''),
    );
  });

  it('wants at least two', async () => {
    const run = await cli(['ask', clip, 'What moves?', '--option', 'one'], env);
    expect([run.code, run.stderr]).toEqual([2, 'visionzip: --option: expected 2 to 26 of them, got 1\n']);
  });
});
