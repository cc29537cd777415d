/**
 * Separable antialiased resampling with 8-bit weights, bit-exact to Pillow's `Image.resize` (its
 * Resample.c), which the published preprocessors use.
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
  const wide = newWidth === width ? rgb : horizontal(rgb, width, height, newWidth, filter);
  return newHeight === height ? wide : vertical(wide, newWidth * 3, height, newHeight, filter);
}

const HALF = 1 << (PRECISION_BITS - 1);

/** (height, width, 3) to (height, newWidth, 3). */
function horizontal(rgb: Uint8Array, width: number, height: number, newWidth: number, filter: Filter) {
  const { starts, weights, taps } = weightsOf(width, newWidth, filter);
  const out = new Uint8ClampedArray(height * newWidth * 3);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < newWidth; x++) {
      let [red, green, blue] = [HALF, HALF, HALF];
      let from = (y * width + starts[x]!) * 3;
      for (let tap = x * taps; tap < (x + 1) * taps; tap++) {
        const weight = weights[tap]!;
        red += rgb[from++]! * weight;
        green += rgb[from++]! * weight;
        blue += rgb[from++]! * weight;
      }
      out[to++] = red >> PRECISION_BITS;
      out[to++] = green >> PRECISION_BITS;
      out[to++] = blue >> PRECISION_BITS;
    }
  }
  return new Uint8Array(out.buffer);
}

/** (height, rowBytes) to (newHeight, rowBytes): each byte of a row for itself. */
function vertical(rows: Uint8Array, rowBytes: number, height: number, newHeight: number, filter: Filter) {
  const { starts, weights, taps } = weightsOf(height, newHeight, filter);
  const out = new Uint8ClampedArray(newHeight * rowBytes);
  const sums = new Int32Array(rowBytes);
  for (let y = 0; y < newHeight; y++) {
    sums.fill(HALF);
    for (let tap = 0; tap < taps; tap++) {
      const weight = weights[y * taps + tap]!;
      if (weight === 0) continue;
      const from = (starts[y]! + tap) * rowBytes;
      for (let i = 0; i < rowBytes; i++) sums[i] = sums[i]! + rows[from + i]! * weight;
    }
    for (let i = 0; i < rowBytes; i++) out[y * rowBytes + i] = sums[i]! >> PRECISION_BITS;
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
