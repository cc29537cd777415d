import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { RedisClient } from './connection.js';
import type { Keys } from './options.js';
import { answerSchema } from './schemas.js';
import { tolerant } from './tolerant.js';

/*
 * How the text of a job travels while it is generated. Who listens says so by a key that expires; only then a worker writes, and
 * publishes what it wrote: messages with a number each, in a list that outlives them for a while. Who comes late, or misses a
 * message, reads the list. Each attempt at a job begins a list of its own.
 */

/** Text that was added to the answer of a question, by its place in the job, or that answer when it is whole. */
const pieceSchema = z.union([
  z.strictObject({ question: z.int(), answer: answerSchema }),
  z.strictObject({ question: z.int(), text: z.string() }),
]);

const messageSchema = z.strictObject({
  /** Another one when the job is tried again; the number of the attempt comes first. */
  attempt: z.string(),
  /** Of an attempt's messages, from 0. */
  number: z.int(),
  pieces: z.array(pieceSchema),
});

export type TextPiece = z.infer<typeof pieceSchema>;
export type TextMessage = z.infer<typeof messageSchema>;

/** Of other versions, too; null where it cannot be read. */
export function readMessage(text: string): TextMessage | null {
  try {
    return readableMessage.parse(JSON.parse(text)) as TextMessage;
  } catch {
    return null;
  }
}

const readableMessage = tolerant(messageSchema);

/** How long the text is kept after the last that was added, in seconds: for who comes late. */
const keptSeconds = 600;
/** For how long a listener counts that has not said again that it listens, in seconds. */
const listeningSeconds = 15;

/** What was said is kept for as long as somebody listens. */
export async function sayListening(redis: RedisClient, keys: Keys, id: string): Promise<void> {
  await redis.set(keys.listening(id), '1', 'EX', listeningSeconds);
  await redis.expire(keys.text(id), keptSeconds);
}

/** Messages of the list, from a number on. */
export async function readText(redis: RedisClient, keys: Keys, id: string, from: number) {
  return (await redis.lrange(keys.text(id), from, -1)).map(readMessage);
}

/**
 * Writes and publishes a message: 1, also where it was written before, since a client sends a command again after a break. Nothing
 * where nobody listens (0), where another attempt has begun (-1), or where what was written before has expired (-2).
 */
const write = `
if redis.call('EXISTS', KEYS[2]) == 0 then return 0 end
local number = tonumber(ARGV[1])
local first = redis.call('LINDEX', KEYS[1], 0)
local isOwn = first and string.find(first, ARGV[2], 1, true)
if isOwn and redis.call('LLEN', KEYS[1]) > number then return 1 end
local other = first and not isOwn and tonumber(string.match(first, '"attempt":"(%d+)%-') or 0)
if other and (number > 0 or other > tonumber(ARGV[5])) then return -1 end
if not first and number > 0 then return -2 end
if not isOwn then redis.call('DEL', KEYS[1]) end
redis.call('RPUSH', KEYS[1], ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[4])
redis.call('PUBLISH', KEYS[1], ARGV[3])
return 1`;

/** The text of one attempt at a job. */
export class TextWriter {
  #uuid = randomUUID();
  #number = 0;

  /** @param attempt its number; an earlier one never takes the place of a later one. */
  constructor(
    readonly redis: RedisClient,
    readonly keys: Keys,
    readonly id: string,
    readonly attempt: number,
  ) {}

  /** Whether somebody listens. */
  async isHeard(): Promise<boolean> {
    return (await this.redis.exists(this.keys.listening(this.id))) === 1;
  }

  async write(pieces: readonly TextPiece[]): Promise<'heard' | 'unheard' | 'replaced' | 'expired'> {
    const { redis, keys, id } = this;
    const number = this.#number;
    const attempt = `${this.attempt}-${this.#uuid}`;
    const args = [number, attempt, JSON.stringify({ attempt, number, pieces }), keptSeconds, this.attempt];
    const written = await redis.eval(write, 2, keys.text(id), keys.listening(id), ...args);
    if (written === 0) return 'unheard';
    if (written === -1) return 'replaced';
    if (written === 1) {
      this.#number += 1;
      return 'heard';
    }
    this.#uuid = randomUUID();
    this.#number = 0;
    return 'expired';
  }
}
