import { describe, expect, it } from 'vitest';
import { drawPatches, type PatchMap, type Picture } from '../src/pipeline/draw.js';

const grey = (width: number, height: number): Picture => ({
  width,
  height,
  rgb: new Uint8Array(width * height * 3).fill(100),
});

/** A 2 × 2 grid: patch 0 dominant, 1 and 3 merged with 1 as target, 2 dropped. */
const map: PatchMap = { rows: 2, columns: 2, dominant: new Set([0]), contextual: [[1, 3]] };

function pixel({ width, rgb }: Picture, x: number, y: number): number[] {
  return [...rgb.subarray((y * width + x) * 3, (y * width + x) * 3 + 3)];
}

describe('the picture of the kept patches', () => {
  const picture = drawPatches(grey(480, 480), map);

  it('leaves a dominant patch as it is, within a yellow outline', () => {
    expect(pixel(picture, 120, 120)).toEqual([100, 100, 100]);
    for (const [x, y] of [
      [0, 120],
      [239, 120],
      [120, 0],
      [120, 239],
    ] as const) {
      expect(pixel(picture, x, y)).toEqual([255, 224, 32]);
    }
  });

  it('dims a dropped patch to half', () => {
    expect(pixel(picture, 120, 360)).toEqual([50, 50, 50]);
  });

  it('tints merged patches alike, and outlines only the target', () => {
    // Half of grey 100, then a fifth of red: 50 × 0.8 + 255 × 0.2 = 91 and 50 × 0.8 = 40.
    expect(pixel(picture, 360, 120)).toEqual([91, 40, 40]);
    expect(pixel(picture, 360, 360)).toEqual([91, 40, 40]);
    expect(pixel(picture, 479, 120)).toEqual([255, 0, 0]);
    expect(pixel(picture, 479, 360)).toEqual([91, 40, 40]);
  });

  it('draws no line between two dominant patches', () => {
    const both = drawPatches(grey(480, 480), { ...map, dominant: new Set([0, 1]), contextual: [] });
    expect(pixel(both, 239, 120)).toEqual([100, 100, 100]);
    expect(pixel(both, 240, 120)).toEqual([100, 100, 100]);
    expect(pixel(both, 240, 239)).toEqual([255, 224, 32]);
  });

  it('divides a picture whose size is no multiple of the grid', () => {
    // 481 pixels: patch 0 has the first 241, patch 1 the last 240.
    const odd = drawPatches(grey(481, 481), map);
    expect(pixel(odd, 240, 120)).toEqual([255, 224, 32]);
    expect(pixel(odd, 480, 120)).toEqual([255, 0, 0]);
  });

  it('enlarges a small frame by a whole factor', () => {
    const small = drawPatches(grey(100, 60), map);
    expect([small.width, small.height]).toEqual([800, 480]);
    expect(small.rgb.length).toBe(800 * 480 * 3);
  });
});
