import type { TokenBudget } from './types.js';

/** Splits a number of tokens as the paper does (54 + 10, 108 + 20): `contextual = round(total × 5 / 32)`. */
export function splitBudget(total: number): TokenBudget {
  const contextual = Math.round((total * 5) / 32);
  return { dominant: total - contextual, contextual };
}
