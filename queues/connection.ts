import { Redis, type RedisOptions } from 'ioredis';
import { faultOfUrl } from './url.js';

/**
 * Where Redis listens: a URL (`redis://`, `rediss://`), or ioredis' own options: `path` of a unix socket, `host` and `port`,
 * `username`, `password`, `tls`, `sentinels` and `name`. Options may also stand beside a URL.
 */
export type RedisConnection = Readonly<RedisOptions> & { readonly url?: string };

/** How long a server may take to accept a connection and to answer on it, in milliseconds. */
const connectMs = 3_000;
const answerMs = 5_000;

/** How a server begins its answer that has no memory or disk left, or is no longer the one to write to. */
const refusal = /^(OOM|MISCONF|READONLY)\b/;
/** Pause before a refused command is sent again, in milliseconds. */
const refusedMs = 1_000;

/** Redis does not answer, or may not be written to. The message names the address. */
export class RedisUnavailableError extends Error {
  override readonly name = 'RedisUnavailableError';
}

/**
 * The address for a person to read: without user and password.
 *
 * @throws TypeError for a URL that cannot be read.
 */
export function addressOf({ url, path, sentinels, name, host, port }: RedisConnection): string {
  if (url !== undefined) {
    const fault = faultOfUrl(url);
    if (fault) throw new TypeError(`the URL of Redis: ${fault}`);
    const { protocol, host, pathname } = new URL(url);
    return `${protocol}//${host}${pathname}`;
  }
  if (path) return path;
  if (!sentinels) return `${host ?? '127.0.0.1'}:${port ?? 6379}`;
  const places = sentinels.map((sentinel) => `${sentinel.host ?? '127.0.0.1'}:${sentinel.port ?? 26379}`);
  return `${name} by the sentinels ${places.join(', ')}`;
}

/** A client of a connection with further options. */
export function openClient({ url, ...connection }: RedisConnection, options: RedisOptions): Redis {
  const all = { ...connection, ...options };
  return url === undefined ? new Redis(all) : new Redis(url, all);
}

/**
 * Options for a process that waits for Redis, however long it takes: workers, listeners. A command that the
 * server refuses for want of memory or disk is sent again every second until it is accepted.
 */
export function patientOptions(
  connection: RedisConnection,
  onRefusal?: (error: Error) => void,
): RedisConnection & {
  readonly maxRetriesPerRequest: null;
  readonly retryStrategy: (times: number) => number;
} {
  let isRefused = false;
  return {
    ...connection,
    maxRetriesPerRequest: null,
    /** ioredis sends the command again after it has connected anew. */
    reconnectOnError: (error: Error) => {
      if (!refusal.test(error.message)) return false;
      isRefused = true;
      onRefusal?.(error);
      return 2 as const;
    },
    retryStrategy: (times: number) => {
      const pauseMs = isRefused ? refusedMs : shortly(times);
      isRefused = false;
      return pauseMs;
    },
  };
}

/** A client that waits for Redis, however long it takes. */
export function patientClient(connection: RedisConnection, onRefusal?: (error: Error) => void): Redis {
  return openClient(connection, patientOptions(connection, onRefusal));
}

/**
 * A client that fails at once where Redis is gone: nothing is queued up inside it. It connects on its first
 * use (`connected`) and again by itself after a break.
 */
export function hastyClient(connection: RedisConnection): Redis {
  const options: RedisOptions = {
    lazyConnect: true,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
    connectTimeout: connectMs,
    retryStrategy: shortly,
  };
  const redis = openClient(connection, options);
  redis.on('error', () => {}); // Told to whoever uses the client next, by `connected`.
  return redis;
}

const attempts = new WeakMap<Redis, Promise<void>>();

/**
 * Resolves once a hasty client is connected.
 *
 * @throws RedisUnavailableError after the first attempt that fails.
 */
export async function connected(redis: Redis, address: string): Promise<void> {
  if (redis.status === 'ready') return;
  const attempt = attempts.get(redis) ?? nextAttempt(redis).finally(() => attempts.delete(redis));
  attempts.set(redis, attempt);
  try {
    await attempt;
  } catch (error) {
    throw unavailable(address, error);
  }
}

/**
 * The error that a caller shall see: a broken connection and a server that refuses to write become a
 * RedisUnavailableError with the address, anything else stays what it is.
 */
export function explained(address: string, error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof RedisUnavailableError) return error;
  forgetArguments(error);
  if (/^CROSSSLOT\b/.test(error.message)) return needsHashTag(address, error);
  if (/^MOVED\b/.test(error.message)) {
    return new RedisUnavailableError(
      `Redis at ${address} is one of several nodes of a cluster; expected a server, or a cluster of one node`,
      { cause: error },
    );
  }
  if (refusal.test(error.message) || /^(NOAUTH|NOPERM|WRONGPASS)\b/.test(error.message)) {
    return new RedisUnavailableError(`Redis at ${address} refused: ${error.message}`, { cause: error });
  }
  const code = 'code' in error ? String(error.code) : '';
  const broken = /Connection is closed|isn't writeable|max retries per request/.test(error.message);
  return broken || /^(ECONN|ENOENT|EPIPE|ETIMEDOUT)/.test(code) ? unavailable(address, error) : error;
}

/** A cluster keeps the keys of a queue together where their prefix stands in braces. */
export function needsHashTag(address: string, cause?: unknown): RedisUnavailableError {
  return new RedisUnavailableError(
    `Redis at ${address} is a cluster, where the keys of a queue must lie in one slot: ` +
      'put the prefix in braces, such as `VISIONZIP_PREFIX={visionzip}`',
    { cause },
  );
}

/** ioredis hangs the refused command on its error, and whoever logs that logs the password that AUTH or HELLO sent. */
function forgetArguments(error: object): void {
  if ('command' in error) Object.assign(error, { command: { ...(error.command as object), args: [] } });
}

function unavailable(address: string, error: unknown): RedisUnavailableError {
  if (error instanceof Error) forgetArguments(error);
  const reason = error instanceof Error ? error.message : String(error);
  return new RedisUnavailableError(`cannot reach Redis at ${address}: ${reason}`, { cause: error });
}

/** How the attempt to connect ends that is under way, or comes next. */
function nextAttempt(redis: Redis): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void) => {
      clearTimeout(timer);
      redis.off('ready', onReady).off('error', onError).off('end', onEnd);
      act();
    };
    const onReady = () => settle(resolve);
    const onError = (error: Error) => settle(() => reject(error));
    const onEnd = () => onError(new Error('the client was closed'));
    const timer = setTimeout(() => onError(new Error(`no answer within ${answerMs} ms`)), answerMs);
    redis.on('ready', onReady).on('error', onError).on('end', onEnd);
    if (redis.status === 'end') onEnd();
    if (redis.status === 'wait') redis.connect().catch(() => {}); // The event `error` has the reason.
  });
}

function shortly(times: number): number {
  return Math.min(50 * 2 ** Math.min(times, 5), 1_000);
}
