/** A share with its interval; NaN where there is nothing to share. */
export interface Share {
  readonly right: number;
  readonly count: number;
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** The standard normal distribution's 97.5 % quantile. */
const z95 = 1.959963984540054;

/**
 * A share with its 95 % interval after Wilson (1927), which Brown, Cai and DasGupta (2001, "Interval Estimation for a Binomial
 * Proportion") recommend: unlike value ± 1.96 standard errors it stays within 0 and 1 and holds for few rows, too. It takes rows as
 * independent, which questions about one video are not quite: then it is somewhat too narrow.
 */
export function wilson(right: number, count: number): Share {
  const value = right / count;
  const spread = z95 ** 2 / count;
  const centre = (value + spread / 2) / (1 + spread);
  const half = (z95 / (1 + spread)) * Math.sqrt((value * (1 - value)) / count + spread / (4 * count));
  // Rounding may leave 0 of n a hair above 0.
  const [low, high] = [right === 0 ? 0 : centre - half, right === count ? 1 : centre + half];
  return count === 0
    ? { right, count, value: Number.NaN, low: Number.NaN, high: Number.NaN }
    : { right, count, value, low, high };
}
