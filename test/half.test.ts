import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromHalf, isHalf, roundToHalf, toHalf } from '../src/pipeline/half.js';

describe('half precision', () => {
  // numpy.float16(x).view('uint16')
  it.each([
    [0, 0x0000],
    [-0, 0x8000],
    [1, 0x3c00],
    [-2, 0xc000],
    [0.1, 0x2e66],
    [1 / 3, 0x3555],
    [65_504, 0x7bff],
    [65_519, 0x7bff],
    [65_520, 0x7c00],
    [1e9, 0x7c00],
    [Number.NEGATIVE_INFINITY, 0xfc00],
    [Number.NaN, 0x7e00],
    [2 ** -14, 0x0400],
    [2 ** -15, 0x0200],
    [2 ** -24, 0x0001],
    [2 ** -25, 0x0000],
    [2 ** -25 * 1.5, 0x0001],
    [2 ** -24 * 1023.5, 0x0400],
    // Ties go to the even number.
    [2049, 0x6800],
    [2051, 0x6802],
    [1.00048828125, 0x3c00],
    [1.00146484375, 0x3c02],
  ])('of %d is as NumPy has it', (value, bits) => {
    expect(toHalf(Math.fround(value))).toBe(bits);
  });

  it('gives back every half', () => {
    for (let half = 0; half < 0x10000; half++) {
      const value = fromHalf(half);
      if (Number.isNaN(value)) expect(toHalf(value) & 0x7fff).toBe(0x7e00);
      else expect(toHalf(value)).toBe(half);
    }
  });

  it('is within half a unit in the last place', () => {
    fc.assert(
      fc.property(fc.float({ min: Math.fround(2 ** -14), max: 65_504, noNaN: true }), (value) => {
        expect(Math.abs(fromHalf(toHalf(value)) - value)).toBeLessThanOrEqual(value * 2 ** -11);
      }),
    );
  });

  it('is left where a number is too large for it', () => {
    const large = Float32Array.of(0.1, 70_000);
    expect(roundToHalf(large)).toBe(large);
    expect(isHalf(large)).toBe(false);
    const rounded = roundToHalf(Float32Array.of(0.1, 2003.5));
    expect([...rounded]).toEqual([0.0999755859375, 2004]);
    expect(isHalf(rounded)).toBe(true);
  });
});
