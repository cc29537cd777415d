/*
 * Half precision, IEEE 754 binary16. Node 20 has no arrays of it.
 */

const LARGEST = 65_504;
const scratch = new Float32Array(1);
const bits = new Uint32Array(scratch.buffer);

/** The nearest half, ties to even, as its 16 bits. Beyond the largest it is infinite. */
export function toHalf(value: number): number {
  scratch[0] = value;
  const whole = bits[0]!;
  const sign = (whole >>> 16) & 0x8000;
  const magnitude = whole & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00; // NaN
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // above the largest, rounded
  if (magnitude >= 0x38800000) {
    const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
    return sign | ((rounded - 0x38000000) >>> 13);
  }
  // Subnormal: a multiple of 2^-24.
  return sign | roundHalfEven(Math.abs(value) * 2 ** 24);
}

export function fromHalf(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >>> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  bits[0] = ((half & 0x8000) << 16) | (((half & 0x7fff) << 13) + 0x38000000);
  return scratch[0]!;
}

export function toHalves(values: Float32Array): Uint16Array<ArrayBuffer> {
  const halves = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) halves[i] = toHalf(values[i]!);
  return halves;
}

export function fromHalves(halves: Uint16Array): Float32Array<ArrayBuffer> {
  const values = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) values[i] = fromHalf(halves[i]!);
  return values;
}

function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

/** The same numbers as far as half precision has them; as they are where one is too large for it. */
export function roundToHalf(values: Float32Array): Float32Array {
  for (const value of values) if (!(Math.abs(value) <= LARGEST)) return values;
  return values.map((value) => fromHalf(toHalf(value)));
}

/** Whether half precision has every number as it is. */
export function isHalf(values: Float32Array): boolean {
  return values.every((value) => fromHalf(toHalf(value)) === value);
}
