import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Frame } from '../src/media/types.js';

/*
 * Clips whose frames tell which they are: a 4 × 4 grid of blocks in the middle, of which block k is white where bit k of the
 * frame's number is set, on grey, with a red upper left quarter.
 */

export const red = [200, 30, 30] as const;
const grey = [110, 110, 110] as const;

/** Where the blocks lie: in a square of the largest multiple of four in half the shorter edge. */
function blocksOf(width: number, height: number) {
  const side = Math.floor(Math.min(width, height) / 8) * 4;
  return { left: (width - side) >> 1, top: (height - side) >> 1, block: side / 4 };
}

/** (height, width, 3). */
export function draw(number: number, width: number, height: number): Uint8Array {
  const rgb = new Uint8Array(width * height * 3);
  const { left, top, block } = blocksOf(width, height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [column, row] = [Math.floor((x - left) / block), Math.floor((y - top) / block)];
      const isInside = column >= 0 && column < 4 && row >= 0 && row < 4;
      const bit = (number >> (row * 4 + column)) & 1 ? [255, 255, 255] : [0, 0, 0];
      const ground = x < width / 4 && y < height / 4 ? red : grey;
      rgb.set(isInside ? bit : ground, (y * width + x) * 3);
    }
  }
  return rgb;
}

/** The number that a picture shows. */
export function numberOf({ rgb, width, height }: Pick<Frame, 'rgb' | 'width' | 'height'>): number {
  const { left, top, block } = blocksOf(width, height);
  let number = 0;
  for (let k = 0; k < 16; k++) {
    const x = Math.floor(left + ((k & 3) + 0.5) * block);
    const y = Math.floor(top + ((k >> 2) + 0.5) * block);
    if (rgb[(y * width + x) * 3 + 1]! > 127) number |= 1 << k;
  }
  return number;
}

/** The colour near the upper left corner. */
export function cornerOf({ rgb, width, height }: Pick<Frame, 'rgb' | 'width' | 'height'>): number[] {
  const at = ((height >> 4) * width + (width >> 4)) * 3;
  return [...rgb.subarray(at, at + 3)];
}

export interface Numbered {
  readonly width?: number;
  readonly height?: number;
  /** Number of the first frame; default 0. */
  readonly first?: number;
  readonly count?: number;
  /** Further inputs, before the options of the output. */
  readonly inputs?: readonly string[];
}

/** Encodes 25 numbered frames a second with plain ffmpeg; `output` are its options and the file. */
export async function encodeNumbered(output: readonly string[], options: Numbered = {}): Promise<void> {
  const { width = 160, height = 120, first = 0, count = 50, inputs = [] } = options;
  const raw = ['-f', 'rawvideo', '-pix_fmt', 'rgb24', '-s', `${width}x${height}`, '-r', '25', '-i', 'pipe:0'];
  const ffmpeg = spawn('ffmpeg', ['-v', 'error', '-y', ...raw, ...inputs, ...output], {
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  const ended = once(ffmpeg, 'close');
  for (let i = 0; i < count; i++) ffmpeg.stdin.write(draw(first + i, width, height));
  ffmpeg.stdin.end();
  const [code] = await ended;
  if (code !== 0) throw new Error(`ffmpeg ended with ${code}`);
}
