import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type JobSummary, type Result, readSummary, resultSchema, summarySchema } from '../queues/index.js';
import { summarize } from '../queues/summary.js';

const result = resultSchema.parse(
  JSON.parse(readFileSync(new URL('./fixtures/result.json', import.meta.url), 'utf8')),
);

function answered(...texts: string[]): Result {
  const [answer] = result.answers;
  return { ...result, answers: texts.map((text) => ({ ...answer!, answer: text })) };
}

describe('the summary of a job', () => {
  it('has the first answers, cut short, and how many there are', () => {
    const long = 'x'.repeat(500);
    const { answers, count } = summarize(answered('a', long, 'c', 'd', 'e', 'f'));
    expect(answers).toEqual(['a', `${'x'.repeat(119)}…`, 'c', 'd']);
    expect(count).toBe(6);
  });

  it('cuts no character in two', () => {
    const { answers } = summarize(answered('🦊'.repeat(100)));
    expect(answers).toEqual([`${'🦊'.repeat(59)}…`]);
    const family = '👩‍👩‍👧'; // Three joined ones, of 8 UTF-16 units together.
    expect(summarize(answered(family.repeat(100))).answers).toEqual([`${family.repeat(14)}…`]);
  });

  it('has the likelihood of a free answer, and that of the chosen option', () => {
    const [free, choice] = answered('red', 'B').answers;
    const likelihoods = [0.25, 0.7512, 0.0];
    const answers = [
      { ...free!, likelihood: 0.12345 },
      { ...choice!, likelihood: undefined, choice: { letter: 'B', index: 1, likelihoods } },
      { ...free!, likelihood: undefined, choice: undefined },
    ];
    expect(summarize({ ...result, answers }).likelihoods).toEqual([0.123, 0.751, null]);
  });

  it('stays small, whatever was answered', () => {
    const stages = Object.fromEntries(Object.keys(result.timings).map((key) => [key, 123_456.789]));
    const timings = { ...result.timings, ...stages, spans: undefined };
    const sight = 'f'.repeat(64);
    const usual = summarize({ ...answered('The red star moves to the left.'), timings, sight });
    expect(JSON.stringify(usual).length).toBeLessThan(700);
    const most = summarize({ ...answered(...Array<string>(9).fill('x'.repeat(500))), timings, sight });
    expect(JSON.stringify(summarySchema.parse(most)).length).toBeLessThan(1_200);
  });

  it('is read as older and later workers wrote it, and not where it is none', () => {
    const older: JobSummary = { cached: false, answers: ['red'] };
    expect(readSummary(older)).toEqual(older);
    const later = { ...summarize(result), mood: 'calm', reused: 'half' };
    expect(readSummary(later)).toEqual(later);
    for (const none of [null, undefined, 'red', 7, {}, { cached: true }])
      expect(readSummary(none)).toBeNull();
  });
});
