import { RateLimiterMemory } from 'rate-limiter-flexible';
import { networkOf } from './address.js';

/** How long failures count, in seconds. */
const memorySeconds = 3600;
/** So many failures cost nothing; after each further one comes a pause, which doubles. */
const ofOne = { free: 4, longestSeconds: 900 };
const ofAll = { free: 49, longestSeconds: 60 };
const everyone = 'everyone';

/** Slows down whoever guesses a credential: each network by its own failures, and all of them by all failures. */
export class Attempts {
  readonly #failures = new RateLimiterMemory({ keyPrefix: 'failures', points: 1, duration: memorySeconds });
  readonly #pauses = new RateLimiterMemory({ keyPrefix: 'pauses', points: 1, duration: memorySeconds });
  /** Who has once shown the credential is not kept waiting for the failures of others. */
  readonly #known = new Set<string>();

  /** @returns for how many seconds no attempt from there is looked at; 0: it is. */
  async secondsToWait(address: string): Promise<number> {
    const network = networkOf(address);
    const keys = this.#known.has(network) ? [network] : [network, everyone];
    const pauses = await Promise.all(keys.map((key) => this.#pauses.get(key)));
    return Math.max(0, ...pauses.map((pause) => Math.ceil((pause?.msBeforeNext ?? 0) / 1000)));
  }

  async fail(address: string): Promise<void> {
    await this.#count(networkOf(address), ofOne);
    await this.#count(everyone, ofAll);
  }

  async succeed(address: string): Promise<void> {
    this.#known.add(networkOf(address));
    await this.#failures.delete(networkOf(address));
  }

  async #count(key: string, { free, longestSeconds }: typeof ofOne): Promise<void> {
    const { consumedPoints } = await this.#failures.penalty(key);
    const over = consumedPoints - free;
    if (over > 0) await this.#pauses.block(key, Math.min(longestSeconds, 2 ** over));
  }
}
