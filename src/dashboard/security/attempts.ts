import { createHmac, randomBytes } from 'node:crypto';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { networkOf } from './address.js';

/** How long failures count, in seconds. */
const memorySeconds = 3600;
/** So many failures cost nothing; after each further one comes a pause, which doubles. */
const ofOne = { free: 4, longestSeconds: 60 };
/** More than one alone can fail in an hour: it takes several to keep all others waiting. */
const ofAll = { free: 99, longestSeconds: 60 };
const everyone = 'everyone';
/** Of so many wrong credentials it is remembered that they were shown. */
const mostRemembered = 1_000;

/** Who shows a credential. */
export interface Guest {
  readonly address: string;
  /** Of a browser that was logged in before; see `Sessions`. */
  readonly device: string | null;
}

/**
 * Slows down whoever guesses a credential: each network by its own failures, and all of them by all failures. A pause ends soon, since
 * who shares the address of somebody that guesses waits as well: no right one may be let in sooner than a wrong one is told to be wrong.
 * Nor does a right one end the failures of its address, or guesses could hide between the requests of a program that knows it.
 */
export class Attempts {
  readonly #failures = new RateLimiterMemory({ keyPrefix: 'failures', points: 1, duration: memorySeconds });
  readonly #pauses = new RateLimiterMemory({ keyPrefix: 'pauses', points: 1, duration: memorySeconds });
  /** Who has once shown the credential is not kept waiting for the failures of others. */
  readonly #known = new Set<string>();
  readonly #wrong = new Set<string>();
  readonly #secret = randomBytes(32);

  /** @returns for how many seconds no attempt of theirs is looked at; 0: it is. */
  async secondsToWait(guest: Guest): Promise<number> {
    const key = keyOf(guest);
    const keys = guest.device !== null || this.#known.has(key) ? [key] : [key, everyone];
    const pauses = await Promise.all(keys.map((key) => this.#pauses.get(key)));
    return Math.max(0, ...pauses.map((pause) => Math.ceil((pause?.msBeforeNext ?? 0) / 1000)));
  }

  /** The same credential again is no further guess, but a program that was not told of the new one. */
  async fail(guest: Guest, shown: string): Promise<void> {
    const key = keyOf(guest);
    if (this.#isKnownAsWrong(key, shown)) return;
    await this.#count(key, ofOne);
    if (guest.device === null) await this.#count(everyone, ofAll);
  }

  succeed({ address }: Guest): void {
    this.#known.add(networkOf(address));
  }

  #isKnownAsWrong(key: string, shown: string): boolean {
    const digest = createHmac('sha256', this.#secret).update(`${key}\0${shown}`).digest('base64');
    if (this.#wrong.has(digest)) return true;
    this.#wrong.add(digest);
    const [oldest] = this.#wrong;
    if (this.#wrong.size > mostRemembered && oldest !== undefined) this.#wrong.delete(oldest);
    return false;
  }

  async #count(key: string, { free, longestSeconds }: typeof ofOne): Promise<void> {
    const { consumedPoints } = await this.#failures.penalty(key);
    const over = consumedPoints - free;
    if (over > 0) await this.#pauses.block(key, Math.min(longestSeconds, 2 ** over));
  }
}

function keyOf({ address, device }: Guest): string {
  return device === null ? networkOf(address) : `device ${device}`;
}
