import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { RedisClient } from '../../queues/connection.js';
import { writeOnce } from '../../queues/once.js';
import type { Keys } from '../../queues/options.js';
import { type AskJob, answerSchema, type Result, resultSchema } from '../../queues/schemas.js';
import { tolerant } from '../../queues/tolerant.js';
import type { Provider } from '../models/providers.js';
import type { Answer, AnswerOutcome, Generation, Question } from '../pipeline/types.js';

/** Part of every content key: raised whenever the pipeline would answer differently than before. */
export const pipelineVersion = 5;

/** All that an answer depends on. */
export interface ContentKeyParts {
  /** sha256 of the video file, hex. */
  readonly videoDigest: string;
  readonly model: { readonly digest: string; readonly dtype: string };
  /** What computes: accelerators round differently. */
  readonly provider: Provider;
  readonly question: Question;
  readonly job: Pick<AskJob, 'history' | 'sampling' | 'compression' | 'overTime' | 'generation' | 'strict'>;
}

/** What an encoded video depends on besides its own allowance: names it in stores and caches. */
export function videoKey(parts: Pick<ContentKeyParts, 'videoDigest' | 'model' | 'provider'>): string {
  const { videoDigest, model, provider } = parts;
  const { digest, dtype } = model;
  const content = { pipelineVersion, videoDigest, digest, dtype, provider };
  return createHash('sha256').update(JSON.stringify(content, sortKeys)).digest('hex');
}

/** sha256 over canonical JSON, hex: equal for equal content, however its fields are ordered. */
export function contentKey({ videoDigest, model, provider, question, job }: ContentKeyParts): string {
  const { history = [], sampling, compression, overTime, generation, strict } = job;
  const { digest, dtype } = model;
  const content = {
    pipelineVersion,
    videoDigest,
    digest,
    dtype,
    provider,
    question,
    ...(history.length > 0 && { history }),
    sampling,
    compression,
    overTime,
    generation,
    strict,
  };
  return createHash('sha256').update(JSON.stringify(content, sortKeys)).digest('hex');
}

/** Sampling without a seed gives another answer each time: it is neither stored nor looked up. */
export function isRepeatable({ defaults, temperature, seed }: Generation): boolean {
  const isGreedy = temperature === 0 || (temperature === undefined && defaults !== 'model');
  return isGreedy || seed !== undefined;
}

/** An answer as it is stored, with what its run says of the video and of how it was fitted into the context. */
export interface StoredAnswer {
  readonly answer: Answer;
  readonly run: Pick<AnswerOutcome, 'video' | 'plan' | 'tokens' | 'frames'> & Pick<Result, 'sight'>;
}

const { plan, tokens, frames, video, sight } = resultSchema.shape;
const storedSchema = z.object({
  answer: answerSchema.omit({ cached: true }),
  run: z.object({
    plan,
    tokens,
    frames,
    sight,
    video: video.omit({ digest: true }).extend({
      streamIndex: z.int(),
      container: z.string(),
      rotation: z.number(),
      isStill: z.boolean(),
    }),
  }),
});

const readableSchema = tolerant(storedSchema);

/**
 * The answers by their content keys. The first one written for a key stays until its time is up, and is what
 * every job gets: so two workers that computed the same question cannot answer differently.
 */
export class AnswerStore {
  readonly #redis: RedisClient;
  readonly #keys: Keys;
  readonly #retentionSeconds: number;

  constructor(redis: RedisClient, keys: Keys, retentionSeconds: number) {
    this.#redis = redis;
    this.#keys = keys;
    this.#retentionSeconds = retentionSeconds;
  }

  /** In the order of the content keys; null where nothing is stored that can be read. */
  async read(contentKeys: readonly string[]): Promise<(StoredAnswer | null)[]> {
    if (contentKeys.length === 0) return [];
    const texts = await this.#redis.mget(contentKeys.map((key) => this.#keys.answer(key)));
    return texts.map((text) => (text === null ? null : parse(text)));
  }

  /** Stores the answer unless there is one, and returns the one that stands. */
  async writeOnce(contentKey: string, stored: StoredAnswer): Promise<StoredAnswer> {
    const key = this.#keys.answer(contentKey);
    const text = JSON.stringify(stored);
    const before = await writeOnce(this.#redis, key, text, this.#retentionSeconds);
    if (before === null) return stored;
    const standing = parse(before);
    if (standing) return standing;
    await this.#redis.set(key, text, 'EX', this.#retentionSeconds);
    return stored;
  }
}

/** Tolerant of what other versions wrote; null where it cannot be read: then it is as if it were not there. */
function parse(text: string): StoredAnswer | null {
  try {
    return readableSchema.parse(JSON.parse(text)) as StoredAnswer;
  } catch {
    return null;
  }
}

function sortKeys(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
