import { createRandom } from '../clips/index.js';

/** A measured value and its 95 % interval. */
export interface Interval {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

const draws = 1000;

/**
 * 95 % interval of a statistic over clips, by 1,000 draws of as many clips with replacement, the same draws each time.
 * A statistic that compares two settings on the same draw is so compared in pairs. Draws without a value are left out.
 */
export function bootstrap<T>(clips: readonly T[], statistic: (sample: readonly T[]) => number): Interval {
  const random = createRandom('bootstrap');
  const draw = () => statistic(clips.map(() => random.pick(clips)));
  const values = Array.from({ length: draws }, draw)
    .filter((value) => !Number.isNaN(value))
    .sort((a, b) => a - b);
  const outside = Math.floor(0.025 * values.length);
  return {
    value: statistic(clips),
    low: values[outside] ?? Number.NaN,
    high: values[values.length - 1 - outside] ?? Number.NaN,
  };
}
