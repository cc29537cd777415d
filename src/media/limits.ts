import type { Limits } from './types.js';

export const defaultLimits: Limits = {
  maxBytes: 4 * 2 ** 30,
  maxSeconds: 4 * 3600,
  maxPixels: 8192 * 4352,
  decodeTimeoutMs: 10 * 60_000,
};
