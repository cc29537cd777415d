import { z } from 'zod';
import type { RedisClient } from './connection.js';
import type { Keys } from './options.js';
import { tagsSchema } from './schemas.js';
import { tolerant } from './tolerant.js';

/**
 * `paused`: takes no more rows for now; `draining`: takes none any more, and ends with the jobs under way; `done`: no row is left;
 * `stopped`: it ended before, and the same command goes on.
 */
export const runStateSchema = z.enum(['running', 'paused', 'draining', 'done', 'stopped']);
export type RunState = z.infer<typeof runStateSchema>;

const rows = z.int().min(0);
const score = { right: rows, count: rows };

/**
 * What `visionzip batch` says of its run while it goes on, every two seconds, and at its end. A process that was killed says nothing
 * more: then `updatedAt` stays, and the state with it.
 */
export const runRecordSchema = z.strictObject({
  /** The tag `run` of its jobs; of a part of a file (`--shard 1/4`) with `.1-of-4` behind it. */
  id: z.string(),
  /** The last part of the questions' path. */
  name: z.string(),
  /** Real paths, on `host`; "-" for standard input and output. */
  questions: z.string(),
  out: z.string(),
  host: z.string(),
  pid: z.int(),
  model: z.string(),
  /** Digest of the options, as the rows of the output have it. */
  settings: z.string(),
  tags: tagsSchema,
  startedAt: z.iso.datetime(),
  updatedAt: z.iso.datetime(),
  state: runStateSchema,
  /** Rows that are wanted; null while that is not known. */
  total: rows.nullable(),
  /** Rows that are answered, of which so many were there before the process began (with --keep-failed those that had failed, too). */
  done: rows,
  doneBefore: rows,
  failed: rows,
  cancelled: rows,
  /** What failed, by whose fault it was and by what the message says apart from names and numbers; the most frequent first, up to 20. */
  failures: z.array(
    z.strictObject({
      fault: z.string(),
      /** Such as `… is no video`. */
      message: z.string(),
      count: rows,
      /** The first of them: the row's number from 1, its video as the row names it, and the whole message. */
      example: z.strictObject({ row: z.int(), video: z.string(), error: z.string() }),
    }),
  ),
  /** Of the rows that this process answered and that say what is right. */
  accuracy: z.strictObject(score),
  /** The same by the rows' kind, else category; up to 100 of them, the most frequent first. */
  accuracyByKind: z.array(z.strictObject({ kind: z.string(), ...score })),
  /** Rows that this process finished a minute, pauses left out; null before the first. */
  rowsPerMinute: z.number().nullable(),
  /** At this pace; null where it is not known. */
  secondsLeft: z.number().nullable(),
});
export type RunRecord = z.infer<typeof runRecordSchema>;

/** What a run may be asked to do, the weakest first: see `RunState`; `stop` also cancels its jobs under way, as Ctrl-C does. */
export const runControls = ['pause', 'drain', 'stop'] as const;
export type RunControl = (typeof runControls)[number];

/** `requested`: the run looks every two seconds; `finished`: it has ended; `unknown`: no run of that id is kept. */
export type RunControlOutcome = 'requested' | 'finished' | 'unknown';

/** A run that says nothing for so long is silent: it speaks every two seconds. */
const silentMs = 10_000;

export function hasEnded({ state }: Pick<RunRecord, 'state'>): boolean {
  return state === 'done' || state === 'stopped';
}

/** How long a run that has not ended has been silent, in milliseconds; 0 for one that speaks. */
export function silenceOf(record: Pick<RunRecord, 'state' | 'updatedAt'>, now = Date.now()): number {
  const ms = now - Date.parse(record.updatedAt);
  return hasEnded(record) || ms < silentMs ? 0 : ms;
}

/** Tolerant of what other versions wrote. */
const storedSchema = tolerant(runRecordSchema);

export async function writeRun(
  redis: RedisClient,
  keys: Keys,
  record: RunRecord,
  retentionSeconds: number,
): Promise<void> {
  const updatedAt = Date.parse(record.updatedAt);
  const results = await redis
    .multi()
    .set(keys.run(record.id), JSON.stringify(record), 'EX', retentionSeconds)
    .zadd(keys.runs, updatedAt, record.id)
    .zremrangebyscore(keys.runs, '-inf', updatedAt - retentionSeconds * 1000)
    .expire(keys.runs, retentionSeconds)
    .exec();
  const fault = results?.find(([error]) => error)?.[0];
  if (fault) throw fault;
}

/** Null where there is none, or none that can be read. */
export async function readRun(redis: RedisClient, keys: Keys, id: string): Promise<RunRecord | null> {
  return parse(await redis.get(keys.run(id)));
}

/** The runs that were heard of last, the latest first. */
export async function listRuns(redis: RedisClient, keys: Keys, most = 100): Promise<RunRecord[]> {
  const ids = await redis.zrevrange(keys.runs, 0, most - 1);
  if (ids.length === 0) return [];
  const texts = await redis.mget(ids.map((id) => keys.run(id)));
  return texts.map(parse).filter((record) => record !== null);
}

/**
 * Asks a run to do something, until it ends; with null to go on. It minds no more of `pause` once it drains, and what is weaker than what
 * it was asked before is not asked: it may not have looked yet.
 */
export async function controlRun(
  redis: RedisClient,
  keys: Keys,
  id: string,
  what: RunControl | null,
  retentionSeconds: number,
): Promise<RunControlOutcome> {
  if (what === null) await redis.del(keys.runControl(id));
  const record = await readRun(redis, keys, id);
  if (record === null) return 'unknown';
  if (hasEnded(record)) return 'finished';
  const strengthOf = (control: RunControl | null) => runControls.indexOf(control as RunControl);
  if (what !== null && strengthOf(what) >= strengthOf(await readControl(redis, keys, id)))
    await redis.set(keys.runControl(id), what, 'EX', retentionSeconds);
  return 'requested';
}

/** What a run is asked to do; null where nothing is asked, or nothing that this version knows. */
export async function readControl(redis: RedisClient, keys: Keys, id: string): Promise<RunControl | null> {
  const text = await redis.get(keys.runControl(id));
  return runControls.find((what) => what === text) ?? null;
}

function parse(text: string | null): RunRecord | null {
  try {
    return storedSchema.parse(JSON.parse(text ?? '')) as RunRecord;
  } catch {
    return null;
  }
}
