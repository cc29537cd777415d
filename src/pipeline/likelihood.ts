/** Below so much less than the token's own, in natural logarithms, a logit adds nothing that a likelihood would show. */
const DEPTH = 32;
const STEPS = 64;

/** e to the power of −k / STEPS. */
const powers = Float64Array.from({ length: DEPTH * STEPS }, (_, k) => Math.exp(-k / STEPS));

/**
 * The log probability of a token, by logits (V) over the whole vocabulary; NaN where one of these is. Of the exponentials most come
 * from a table, with three terms of the series behind it, good to 1e-6: in a vocabulary of 150,000 `Math.exp` of each would take
 * several times as long as everything else that is done to pick a token.
 */
export function logProbability(logits: Float32Array, token: number): number {
  const own = logits[token]!;
  let sum = 0;
  for (let i = 0; i < logits.length; i++) {
    const below = own - logits[i]!;
    if (below >= DEPTH) continue;
    if (below >= 0) {
      const steps = (below * STEPS) | 0;
      const rest = below - steps / STEPS;
      sum += powers[steps]! * (1 - rest + 0.5 * rest * rest);
    } else sum += Math.exp(-below);
  }
  return -Math.log(sum);
}
