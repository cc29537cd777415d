import type { GenerationDefaults } from '../models/types.js';
import type { Generation } from './types.js';

/** What is asked for, and in its place what `defaults` says: see `Generation`. */
export function settleGeneration(
  { defaults = 'greedy', ...asked }: Generation,
  { samples, temperature, topK, topP, repetitionPenalty }: GenerationDefaults,
): Generation {
  const own = defaults === 'model' && samples ? { temperature, topK, topP } : {};
  const given = Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined));
  return { ...own, repetitionPenalty, ...given };
}
