import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findOptions } from '../src/batch/choices.js';
import { extractChoice } from '../src/batch/scores/extract-choice.js';
import { wilson } from '../src/batch/scores/intervals.js';
import { normaliseAnswer } from '../src/batch/scores/normalise-answer.js';
import { mcNemar } from '../src/batch/scores/paired.js';
import { resolveOption, scoreRow } from '../src/batch/scores/score-row.js';
import { letterOf } from '../src/pipeline/questions.js';

describe('normaliseAnswer', () => {
  it.each([
    ['The Red Ball.', 'red ball'],
    ['Two', '2'],
    ['none', '0'],
    ['twenty birds', '20 birds'],
    ["It isn't", 'it isnt'],
    ['1,000', '1000'],
    ['3.5 s', '3.5 s'],
    ['3.0', '3'],
    ['-12.00 m', '-12 m'],
    ['at 0:12.', 'at 0:12'],
    ['-5 °C', '-5 c'],
    ['t-shirt/coat', 't shirt coat'],
    ['left,right', 'left right'],
    ['A', 'a'],
    ['  An  apple\nand a pear ', 'apple and pear'],
    ['Größe', 'größe'],
    ['?!', ''],
  ])('makes %j %j', (text, normal) => {
    expect(normaliseAnswer(text)).toBe(normal);
  });

  it('changes nothing the second time', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        const once = normaliseAnswer(text);
        expect(normaliseAnswer(once)).toBe(once);
      }),
    );
  });
});

describe('extractChoice', () => {
  const options = ['red', 'blue', 'dark blue', 'two birds'];

  it.each([
    ['B', 1],
    ['b', 1],
    ['(B)', 1],
    ['B.', 1],
    ['**C**', 2],
    ['"D"', 3],
    ['b) blue', 1],
    ['B: blue', 1],
    ['B blue', 1],
    ['C. dark blue, since it is night', 2],
    ['The answer is (B).', 1],
    ['The correct answer is: C', 2],
    ['answer is b', 1],
    ['Option D', 3],
    ['I would pick option B here', 1],
    ['Answer: A', 0],
    ['The answer is A because it is bright.', 0],
    ['$\\boxed{C}$', 2],
    ['First I thought the answer is A. No, the answer is C.', 2],
    ['I think it is (C)', 2],
    ['B\nbecause of the sky', 1],
    ["I believe it's B", 1],
    ['It must be A', 0],
    // The text of the option.
    ['red', 0],
    ['Red.', 0],
    ['The ball is blue.', 1],
    ['It is dark blue', 2],
    ['There are 2 birds', 3],
    ['It is not red but blue', 1],
    // An A that is an article, an I that is a person.
    ['A blue ball', 1],
    ['Answer: A blue ball', 1],
    ['A blue', 1],
    ['I see a blue ball', 1],
    // Nothing, several, or none of the letters.
    ['', null],
    ['E', null],
    ['A green ball', null],
    ['I do not know', null],
    ['red or blue', null],
    // What is rejected.
    ['The correct answer is B. Option A is wrong because it is too bright.', 1],
    ['The correct answer is B. Option A comes close.', 1],
    ['Option A comes close, I choose B.', 1],
    ['The answer is B, not option A.', 1],
    ['The answer is not B.', null],
    ["It isn't (B).", null],
    ['It cannot be B, so it is C.', 2],
    ['A is incorrect. It must be B', 1],
    ['Neither A nor B, it is C', 2],
    ['Not A or B but C', 2],
    ['The answer is B, A is wrong.', 1],
    ['Options A, B and D are wrong: it is C', 2],
    ['A and B are incorrect, so D', 3],
    ["B isn't right.", null],
    ['Blue is wrong, it is red.', 0],
    ['(A) is not the answer, (B) is.', 1],
    ['Why not? B', 1],
    ['I do not know, maybe B', 1],
    ['(A) or (B)', null],
    ['It is infrared', null],
  ])('finds in %j the option %j', (text, index) => {
    expect(extractChoice(text, options)).toBe(index);
  });

  it('takes a letter for a letter also where options are letters', () => {
    expect(extractChoice('A', ['B', 'A'])).toBe(0);
    expect(extractChoice('(A) Paris', ['A. Paris', 'B. Rome'])).toBe(0);
    expect(extractChoice('A. J. Cook', ['C. S. Lewis', 'A. J. Cook'])).toBe(1);
  });

  it('finds every option by its letter, its text, and both, in sentences', () => {
    const words = ['apple', 'river', 'stone', 'cloud', 'seven', 'green hat', 'tall tree', 'walking', 'night'];
    const list = fc.uniqueArray(fc.constantFrom(...words), { minLength: 2, maxLength: 9 });
    const sentence = fc.constantFrom<(letter: string, text: string) => string>(
      (letter) => letter,
      (letter) => `(${letter})`,
      (letter) => `The answer is ${letter}.`,
      (letter) => `The answer is (${letter}).`,
      (letter, text) => `${letter}. ${text}`,
      (letter, text) => `${letter}) ${text}`,
      (_, text) => text,
      (_, text) => `A ${text}.`,
      (_, text) => `It looks like a ${text} to me`,
    );
    fc.assert(
      fc.property(list, fc.nat(8), sentence, (given, at, say) => {
        const index = at % given.length;
        expect(extractChoice(say(letterOf(index), given[index]!), given)).toBe(index);
      }),
    );
  });

  it('answers with an option or with null, whatever the text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.array(fc.string(), { minLength: 2 }), (text, given) => {
        const index = extractChoice(text, given);
        if (index !== null) expect(given[index]).toBeDefined();
      }),
    );
  });
});

describe('scoreRow', () => {
  it.each([
    ['Two.', 'two', true],
    ['two', 2, true],
    ['Yes', true, true],
    ['no', true, false],
    ['Yes.', 'True', true],
    ['true', 'True', true],
    ['no', 'FALSE', true],
    ['yes', 'false', false],
    ['three', '3.0', true],
    ['a car', ['car', 'truck'], true],
    ['bus', ['car', 'truck'], false],
    ['red', '', null],
    ['red', undefined, null],
    ['red', [], null],
    [null, 'red', null],
  ])('says of %j where %j is right: %j', (prediction, answer, right) => {
    expect(scoreRow({ prediction, answer })).toBe(right);
  });

  it('scores a choice by the option, however answer and prediction name it', () => {
    const options = ['red', 'blue', '3'];
    for (const answer of ['blue', 'B', 'b', '(B)', 1, '1', 'B. blue']) {
      expect(scoreRow({ prediction: 'B', answer, options })).toBe(true);
      expect(scoreRow({ prediction: 'It is blue.', answer, options })).toBe(true);
      expect(scoreRow({ prediction: 'A', answer, options })).toBe(false);
      expect(scoreRow({ prediction: 'no idea', answer, options })).toBe(false);
    }
    expect(scoreRow({ prediction: 'B', answer: 'green', options })).toBe(null);
    expect(scoreRow({ prediction: 'C', answer: 3, options })).toBe(true);
    expect(scoreRow({ prediction: 'C', answer: ['A', 'C'], options })).toBe(true);
  });

  it('takes an answer that is a letter already for nothing else', () => {
    const options = ['B', 'A', 'C'];
    expect(scoreRow({ prediction: 'A', answer: 'A', options, answerIs: 'letter' })).toBe(true);
    expect(scoreRow({ prediction: 'B', answer: ['A', 'C'], options, answerIs: 'letter' })).toBe(false);
    expect(scoreRow({ prediction: 'A', answer: 'A', options })).toBe(false);
    expect(scoreRow({ prediction: 'B', answer: 'two.', options: ['one', 'two'], answerIs: 'letter' })).toBe(
      true,
    );
  });

  it('reads options as a list, or as an object by its letters', () => {
    expect(findOptions(['a', 2])).toEqual(['a', '2']);
    expect(findOptions({ B: 'blue', A: 'red' })).toEqual(['red', 'blue']);
    for (const none of [undefined, null, 'a, b', ['a'], [], {}, ['a', null]])
      expect(findOptions(none)).toBe(null);
    expect(resolveOption('B. Rome', ['A. Paris', 'B. Rome'])).toBe(1);
    expect(resolveOption('Rome', ['A. Paris', 'B. Rome'])).toBe(1);
    expect(resolveOption(4, ['a', 'b'])).toBe(null);
  });
});

describe('wilson', () => {
  it('gives the interval of a share', () => {
    // Of 8 in 10: centre (0.8 + 0.19207) / 1.38415 = 0.71674, half 1.41602 × √(0.016 + 0.0096037) = 0.22658.
    const { value, low, high } = wilson(8, 10);
    expect([value, low, high].map((share) => share.toFixed(4))).toEqual(['0.8000', '0.4902', '0.9433']);
    expect(wilson(0, 0).value).toBeNaN();
  });

  it('holds the share, within 0 and 1, narrower with more rows', () => {
    fc.assert(
      fc.property(fc.nat(200), fc.nat(200), (right, wrong) => {
        fc.pre(right + wrong > 0);
        const { value, low, high } = wilson(right, right + wrong);
        expect(0 <= low && low <= value && value <= high && high <= 1).toBe(true);
        const more = wilson(4 * right, 4 * (right + wrong));
        expect(more.high - more.low).toBeLessThan(high - low);
      }),
    );
  });
});

describe('mcNemar', () => {
  it('is the two-sided sign test on rows that only one run gets right', () => {
    expect(mcNemar(1, 9)).toBeCloseTo((2 * (1 + 10)) / 1024, 12);
    expect(mcNemar(0, 5)).toBeCloseTo(2 / 32, 12);
    expect([mcNemar(0, 0), mcNemar(3, 3), mcNemar(3, 4)]).toEqual([1, 1, 1]);
  });

  it('is the same both ways round, within 0 and 1, also of many rows', () => {
    fc.assert(
      fc.property(fc.nat(5000), fc.nat(5000), (better, worse) => {
        const p = mcNemar(better, worse);
        expect(p).toBe(mcNemar(worse, better));
        expect(p >= 0 && p <= 1).toBe(true);
      }),
    );
    // Normal approximation: z = 1000 / √100000 = 3.162, corrected (1000 − 1) / 316.2 = 3.159: p = 0.00158.
    expect(mcNemar(49_500, 50_500)).toBeCloseTo(0.00158, 4);
  });
});
