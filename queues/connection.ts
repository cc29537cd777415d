import { Cluster, type ClusterNode, type ClusterOptions, Redis, type RedisOptions } from 'ioredis';
import { faultOfUrl, takeApart } from './url.js';

/**
 * Where Redis listens, by ioredis' own options: `host` and `port`, `path` of a unix socket, `username`, `password`, `tls`;
 * `sentinels` and `name`; or `cluster`. Or by a `url`, beside which options may stand, too:
 *
 *     redis://user:password@host:6379/0
 *     redis+sentinel://user:password@host:26379,host:26379/name
 *     redis+cluster://user:password@host:6379,host:6379
 *
 * and with TLS `rediss://`, `rediss+sentinel://`, `rediss+cluster://`.
 */
export type RedisConnection = Readonly<RedisOptions & ClusterOptions> & {
  readonly url?: string;
  /**
   * Some nodes of a cluster; they tell of the others. Options such as `password` and `tls` are those of every node, here or in
   * `redisOptions`; ioredis' options of a cluster (`natMap`, `dnsLookup` …) stand here, too. The prefix must be in braces.
   */
  readonly cluster?: readonly Exclude<ClusterNode, number | string>[];
};

/** A client of a server, or of a cluster. */
export type RedisClient = Redis | Cluster;

/** How long a server may take to accept a connection and to answer on it, in milliseconds. */
const connectMs = 3_000;
const answerMs = 5_000;
/** How often a client asks a cluster anew who holds what: of a node that has fallen silent nothing else would tell. */
const slotsRefreshMs = 5_000;

/** How a server begins its answer that has no memory or disk left, or is no longer the one to write to. */
const refusal = /^(OOM|MISCONF|READONLY)\b/;
/** What ioredis says of a server, and of a cluster, that was lost. */
const broken = new RegExp(
  "Connection is closed|isn't writeable|max retries per request|Command timed out|Failed to refresh slots cache|" +
    "Cluster isn't ready|startup nodes|Cluster is ended|Too many Cluster redirections",
);
/** Pause before a refused command is sent again, in milliseconds. */
const refusedMs = 1_000;
/** Pause before a command follows a slot of a cluster to its new node, in milliseconds: nodes may disagree for a moment. */
const movedMs = 20;

/** Redis does not answer, or may not be written to. The message names the address. */
export class RedisUnavailableError extends Error {
  override readonly name = 'RedisUnavailableError';
}

/**
 * The address for a person to read: without user and password.
 *
 * @throws TypeError for a URL that cannot be read.
 */
export function addressOf(connection: RedisConnection): string {
  const fault = connection.url === undefined ? null : faultOfUrl(connection.url);
  if (fault) throw new TypeError(`the URL of Redis: ${fault}`);
  const { url, path, cluster, sentinels, name, host, port } = takeApart(connection);
  if (url !== undefined) {
    const { protocol, host, pathname } = new URL(url);
    return `${protocol}//${host}${pathname}`;
  }
  if (path) return path;
  if (cluster) return `the cluster ${listPlaces(cluster, 6379)}`;
  if (sentinels) return `${name} by the sentinels ${listPlaces(sentinels, 26379)}`;
  return `${host ?? '127.0.0.1'}:${port ?? 6379}`;
}

function listPlaces(places: readonly { host?: string; port?: number }[], usual: number): string {
  return places.map(({ host = '127.0.0.1', port = usual }) => `${host}:${port}`).join(', ');
}

/** A client of the first node that a cluster was named by. */
const firstNodes = new WeakMap<RedisClient, () => Redis>();

/** A client of a connection with further options. */
export function openClient(connection: RedisConnection, options: RedisConnection): RedisClient {
  const { url, cluster, redisOptions, ...all } = { ...takeApart(connection), ...options };
  if (!cluster) return url === undefined ? new Redis(all) : new Redis(url, all);
  const { slotsRefreshInterval } = all;
  const client = new Cluster([...cluster], {
    // A name stays a name, as certificates have it, and is looked up each time: addresses change.
    dnsLookup: (name, found) => found(null, name),
    ...all,
    slotsRefreshInterval: 0, // See `watchSlots`.
    clusterRetryStrategy: all.retryStrategy,
    redisOptions: { ...redisOptions, ...all },
  });
  watchSlots(client, slotsRefreshInterval);
  firstNodes.set(client, () => new Redis({ ...redisOptions, ...all, ...cluster[0], lazyConnect: true }));
  return client;
}

/** ioredis' own interval goes on for ever, and keeps the process alive, where a client is closed while it asks. */
export function watchSlots(client: RedisClient, everyMs = slotsRefreshMs): void {
  if (!(client instanceof Cluster)) return;
  let timer: NodeJS.Timeout | undefined;
  client.on('ready', () => {
    clearInterval(timer);
    timer = setInterval(() => {
      if (client.status === 'ready') client.refreshSlotsCache();
      else clearInterval(timer);
    }, everyMs).unref();
  });
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
  const patient = {
    ...connection,
    maxRetriesPerRequest: null,
    /** ioredis sends the command again after it has connected anew. */
    reconnectOnError: (error: Error): false | 2 => {
      if (!refusal.test(error.message)) return false;
      isRefused = true;
      onRefusal?.(error);
      return 2;
    },
    retryStrategy: (times: number): number => {
      const pauseMs = isRefused ? refusedMs : shortly(times);
      isRefused = false;
      return pauseMs;
    },
    // In a cluster a lost node is left, and its commands wait for whoever takes its place, however often they are sent on.
    clusterNodeRetryStrategy: () => (isRefused ? patient.retryStrategy(0) : null),
    maxRedirections: Number.POSITIVE_INFINITY,
    retryDelayOnMoved: movedMs,
  };
  return patient;
}

/** A client that waits for Redis, however long it takes. */
export function patientClient(connection: RedisConnection, onRefusal?: (error: Error) => void): RedisClient {
  return openClient(connection, patientOptions(connection, onRefusal));
}

/**
 * A client that fails at once where Redis is gone: nothing is queued up inside it. It connects on its first
 * use (`connected`) and again by itself after a break.
 */
export function hastyClient(connection: RedisConnection): RedisClient {
  const options: RedisConnection = {
    lazyConnect: true,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
    connectTimeout: connectMs,
    commandTimeout: answerMs, // A server that is frozen keeps its connections.
    retryStrategy: shortly,
  };
  const redis = openClient(connection, options);
  redis.on('error', () => {}); // Told to whoever uses the client next, by `connected`.
  return redis;
}

const attempts = new WeakMap<RedisClient, Promise<void>>();

/**
 * Resolves once a hasty client is connected.
 *
 * @throws RedisUnavailableError after the first attempt that fails.
 */
export async function connected(redis: RedisClient, address: string): Promise<void> {
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
      `Redis at ${address} is one of several nodes of a cluster: name them by \`cluster\`, or by a URL such as redis+cluster://host:6379,host:6379`,
      { cause: error },
    );
  }
  if (refusal.test(error.message) || /^(NOAUTH|NOPERM|WRONGPASS)\b/.test(error.message)) {
    return new RedisUnavailableError(`Redis at ${address} refused: ${error.message}`, { cause: error });
  }
  const code = 'code' in error ? String(error.code) : '';
  return broken.test(error.message) || /^(ECONN|ENOENT|EPIPE|ETIMEDOUT)/.test(code)
    ? unavailable(address, error)
    : error;
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
function nextAttempt(redis: RedisClient): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void) => {
      clearTimeout(timer);
      redis.off('ready', onReady).off('error', onError).off('end', onEnd);
      act();
    };
    const onReady = () => settle(resolve);
    const fail = (error: Error) => settle(() => reject(error));
    const onError = (error: Error) => {
      const openNode = firstNodes.get(redis);
      if (openNode) faultOf(openNode(), error).then(fail);
      else fail(error);
    };
    const onEnd = () => fail(new Error('the client was closed'));
    const timer = setTimeout(() => onError(new Error(`no answer within ${answerMs} ms`)), answerMs);
    redis.on('ready', onReady).on('error', onError).on('end', onEnd);
    if (redis.status === 'end') onEnd();
    if (redis.status === 'wait') redis.connect().catch(() => {}); // The event `error` has the reason.
  });
}

/** Why a node of a cluster cannot be reached, which ioredis keeps to itself: it is tried once more. */
async function faultOf(redis: Redis, otherwise: Error): Promise<Error> {
  const fault = new Promise<Error>((resolve) => {
    redis.on('error', resolve);
    redis.connect().then(() => describeState(redis, otherwise).then(resolve), resolve);
    setTimeout(resolve, connectMs, otherwise).unref();
  });
  return fault.finally(() => redis.disconnect());
}

/** What a node that answers has against being asked as one of a cluster. */
async function describeState(node: Redis, otherwise: Error): Promise<Error> {
  try {
    const info = String(await node.cluster('INFO'));
    return info.includes('cluster_state:ok')
      ? otherwise
      : new Error('the cluster is down: not all of its slots are served');
  } catch (error) {
    return new Error(`it is no cluster (${(error as Error).message})`);
  }
}

function shortly(times: number): number {
  return Math.min(50 * 2 ** Math.min(times, 5), 1_000);
}
