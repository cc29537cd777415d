import { randomBytes } from 'node:crypto';

/** How many ids a millisecond has room for; the next ones are of the millisecond after. */
const idsOfMs = 0x1000;

let lastMs = 0;
let count = 0;

/** A UUID of version 7 (RFC 9562): those that a process makes are in order, though many are made in the same millisecond. */
export function makeJobId(): string {
  const now = Date.now();
  if (now > lastMs) [lastMs, count] = [now, 0];
  else count += 1;
  if (count === idsOfMs) [lastMs, count] = [lastMs + 1, 0];
  const time = lastMs.toString(16).padStart(12, '0');
  const bytes = randomBytes(8);
  bytes[0] = (bytes[0]! & 0x3f) | 0x80;
  const random = bytes.toString('hex');
  const place = count.toString(16).padStart(3, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7${place}-${random.slice(0, 4)}-${random.slice(4)}`;
}
