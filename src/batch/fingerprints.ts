import { createHash } from 'node:crypto';
import type { Identity } from './rows.js';

/** 64 bits by which a row is known, as two unsigned numbers. Of a million rows two share theirs by chance once in 37 million files. */
export type Fingerprint = readonly [high: number, low: number];

export function fingerprintOf({ hash, key }: Identity): Fingerprint {
  const digest = key === undefined ? Buffer.from(hash, 'hex') : digestOf(`${key}\n${hash}`);
  return [digest.readUInt32BE(0), digest.readUInt32BE(4)];
}

/** Of a name alone. */
export function fingerprintOfKey(key: string): Fingerprint {
  const digest = digestOf(key);
  return [digest.readUInt32BE(0), digest.readUInt32BE(4)];
}

function digestOf(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

const none = -1;

/**
 * The rows of a file by their fingerprints, each by its number: 24 to 48 bytes a row. Rows that are alike are a chain, in
 * their order.
 */
export class Fingerprints {
  size = 0;
  #high = new Uint32Array(1024);
  #low = new Uint32Array(1024);
  /** The next row of the same fingerprint. */
  #next = new Int32Array(1024);
  /** The last row of a chain by its first. */
  #last = new Int32Array(1024);
  /** First rows of chains, by open addressing; at most half full. */
  #slots = new Int32Array(2048).fill(none);

  /** Adds the next row. */
  add(fingerprint: Fingerprint): void {
    const index = this.size++;
    if (index === this.#high.length) this.#grow();
    [this.#high[index], this.#low[index]] = fingerprint;
    this.#next[index] = none;
    this.#last[index] = index;
    const slot = this.#slotOf(fingerprint);
    const first = this.#slots[slot]!;
    if (first === none) {
      this.#slots[slot] = index;
    } else {
      this.#next[this.#last[first]!] = index;
      this.#last[first] = index;
    }
  }

  /** The first row of this fingerprint, -1 where there is none. */
  first(fingerprint: Fingerprint): number {
    return this.#slots[this.#slotOf(fingerprint)]!;
  }

  /** The next row that is alike, -1 behind the last. */
  next(index: number): number {
    return this.#next[index]!;
  }

  has(index: number, [high, low]: Fingerprint): boolean {
    return index < this.size && this.#high[index] === high && this.#low[index] === low;
  }

  #slotOf(fingerprint: Fingerprint): number {
    const mask = this.#slots.length - 1;
    let slot = fingerprint[1] & mask;
    while (this.#slots[slot] !== none && !this.has(this.#slots[slot]!, fingerprint)) slot = (slot + 1) & mask;
    return slot;
  }

  #grow(): void {
    const capacity = this.#high.length * 2;
    this.#high = grown(this.#high, new Uint32Array(capacity));
    this.#low = grown(this.#low, new Uint32Array(capacity));
    this.#next = grown(this.#next, new Int32Array(capacity));
    this.#last = grown(this.#last, new Int32Array(capacity));
    const chains = this.#slots.filter((index) => index !== none);
    this.#slots = new Int32Array(capacity * 2).fill(none);
    for (const index of chains) this.#slots[this.#slotOf([this.#high[index]!, this.#low[index]!])] = index;
  }
}

function grown<A extends Uint32Array | Int32Array>(from: A, to: A): A {
  to.set(from);
  return to;
}
