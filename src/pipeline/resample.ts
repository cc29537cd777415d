/**
 * Separable antialiased resampling with 8-bit weights, bit-exact to Pillow's `Image.resize` (its Resample.c), which the
 * published preprocessors use.
 */

/** Pillow's numbers, as `resample` has them in preprocessor_config.json: Lanczos, bilinear, bicubic. */
export type Resample = 1 | 2 | 3;

interface Filter {
  /** Half width, in source pixels at scale 1. */
  readonly support: number;
  weight(x: number): number;
}

const filters: Record<Resample, Filter> = {
  1: { support: 3, weight: (x) => (Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0) },
  2: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  3: { support: 2, weight: bicubic },
};

/** Bits after the point of a weight, as in Pillow. */
const PRECISION_BITS = 22;

/**
 * @param rgb (height, width, 3), row-major.
 * @returns (newHeight, newWidth, 3).
 */
export function resample(
  rgb: Uint8Array,
  width: number,
  height: number,
  newWidth: number,
  newHeight: number,
  kind: Resample,
): Uint8Array {
  const filter = filters[kind];
  const rows = { count: height, step: width * 3, newStep: newWidth * 3 };
  const wide =
    newWidth === width ? rgb : alongAxis(rgb, rows, { from: width, to: newWidth, step: 3 }, filter);
  if (newHeight === height) return wide;
  // Columns of single bytes: the three channels of a pixel are three columns.
  const columns = { count: newWidth * 3, step: 1, newStep: 1 };
  return alongAxis(wide, columns, { from: height, to: newHeight, step: newWidth * 3 }, filter, 1);
}

/** Resamples `lines.count` lines along one axis; `channels` neighbouring bytes share a weight. */
function alongAxis(
  source: Uint8Array,
  lines: { count: number; step: number; newStep: number },
  axis: { from: number; to: number; step: number },
  filter: Filter,
  channels = 3,
): Uint8Array {
  const { starts, weights, taps } = weightsOf(axis.from, axis.to, filter);
  const out = new Uint8ClampedArray(lines.count * axis.to * channels);
  const half = 1 << (PRECISION_BITS - 1);
  for (let position = 0; position < axis.to; position++) {
    const first = starts[position]! * axis.step;
    const weightsAt = position * taps;
    for (let line = 0; line < lines.count; line++) {
      const from = line * lines.step + first;
      const to = line * lines.newStep + position * axis.step;
      for (let channel = 0; channel < channels; channel++) {
        let sum = half;
        for (let tap = 0, at = from + channel; tap < taps; tap++, at += axis.step) {
          sum += source[at]! * weights[weightsAt + tap]!;
        }
        out[to + channel] = sum >> PRECISION_BITS;
      }
    }
  }
  return new Uint8Array(out.buffer);
}

/** For each new position the first source position and its weights, `taps` of them; the unused ones are 0. */
function weightsOf(from: number, to: number, { support, weight }: Filter) {
  const scale = from / to;
  const stretch = Math.max(1, scale);
  const reach = support * stretch;
  const taps = Math.min(from, Math.ceil(reach) * 2 + 1);
  const starts = new Int32Array(to);
  const weights = new Int32Array(to * taps);
  for (let position = 0; position < to; position++) {
    const centre = (position + 0.5) * scale;
    const start = Math.max(0, Math.trunc(centre - reach + 0.5));
    const count = Math.min(from, Math.trunc(centre + reach + 0.5)) - start;
    const raw = Array.from({ length: count }, (_, i) => weight((i + start - centre + 0.5) / stretch));
    const total = raw.reduce((sum, value) => sum + value, 0);
    // Near the end the window is moved back, so that no tap reads behind the line.
    const shift = Math.max(0, start + taps - from);
    starts[position] = start - shift;
    raw.forEach((value, i) => {
      weights[position * taps + shift + i] = roundAway((value / total) * 2 ** PRECISION_BITS);
    });
  }
  return { starts, weights, taps };
}

function roundAway(value: number): number {
  return Math.trunc(value < 0 ? value - 0.5 : value + 0.5);
}

/** Keys' cubic with a = −0.5. */
function bicubic(x: number): number {
  const a = -0.5;
  const d = Math.abs(x);
  if (d < 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  if (d < 2) return (((d - 5) * d + 8) * d - 4) * a;
  return 0;
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI);
}
