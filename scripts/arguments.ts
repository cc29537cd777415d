/** The value of `--name`, a whole number of at least `least`. Throws a RangeError that says what was expected. */
export function parseCount(name: string, text: string, least: number): number {
  const value = Number(text);
  if (!/^-?\d+$/.test(text) || !Number.isSafeInteger(value) || value < least)
    throw new RangeError(`\`--${name}\` must be a whole number of at least ${least}, got "${text}"`);
  return value;
}

/** Lengths of clips. Below 2 seconds, two events often lie too close to be told apart in eight frames. */
export function parseSeconds(text: string): readonly [number, number] {
  const [, least, most] = /^(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)$/.exec(text) ?? [];
  const range = [Number(least), Number(most)] as const;
  if (!(range[0] >= 2 && range[0] <= range[1] && range[1] <= 3600))
    throw new RangeError(`\`--seconds\` must be a range within 2-3600 such as 2-20, got "${text}"`);
  return range;
}
