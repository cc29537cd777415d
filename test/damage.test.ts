import { describe, expect, it } from 'vitest';
import { tellDamage } from '../src/pipeline/damage.js';

describe('damaged frames', () => {
  it('are told as one or several, each once, with how far the ones are that stand in', () => {
    const message = (...seconds: [number, number][][]) =>
      tellDamage(seconds.map((each) => new Map(each))).map(({ message }) => message);
    expect(message([], [])).toEqual([]);
    expect(message([[3, 0.125]], [[3, 0.125]])).toEqual([
      '1 frame is damaged: the nearest sound one stands in, 0.13 seconds away',
    ]);
    expect(message([[3, 0.1]], [[5, 2]])).toEqual([
      '2 frames are damaged: the nearest sound ones stand in, at most 2.00 seconds away',
    ]);
  });
});
