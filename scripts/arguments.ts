/** The value of `--name`, a whole number of at least `least`. Throws a RangeError that says what was expected. */
export function parseCount(name: string, text: string, least: number): number {
  const value = Number(text);
  if (!/^-?\d+$/.test(text) || !Number.isSafeInteger(value) || value < least)
    throw new RangeError(`\`--${name}\` must be a whole number of at least ${least}, got "${text}"`);
  return value;
}
