import { readFileSync } from 'node:fs';
import { availableParallelism, homedir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { createSecureContext } from 'node:tls';
import { z } from 'zod';
import type { RedisConnection } from '../queues/connection.js';
import {
  defaultAttempts,
  defaultBackoffMs,
  defaultPrefix,
  defaultQueue,
  defaultRetentionSeconds,
} from '../queues/options.js';
import { faultOfUrl } from '../queues/url.js';
import { InputError } from './errors.js';
import { defaultLimits } from './media/limits.js';
import type { DecoderPrograms } from './media/sandbox.js';
import type { Limits } from './media/types.js';
import { type Provider, providers } from './models/providers.js';
import { findPackageRoot } from './models/shipped.js';
import {
  type DashboardSettings,
  dashboardOf,
  dashboardVariables,
  type MetricsSettings,
} from './settings/dashboard.js';
import { ms, variable, whole } from './settings/variable.js';

export type { Credential, DashboardSettings } from './settings/dashboard.js';

/** Everything that a user may set by the environment. This is the one file that reads it. */
export interface Settings {
  /** Null: a private server on a unix socket below `home`. */
  readonly redis: RedisConnection | null;
  readonly home: string;
  readonly prefix: string;
  readonly queue: string;
  readonly videoDirs: readonly string[];
  readonly modelDirs: readonly string[];
  /** The model that commands ask where none is named. */
  readonly model: string;
  readonly concurrency: number;
  /** ONNX Runtime's threads in each model process. */
  readonly threads: number;
  /** What ONNX Runtime computes on. */
  readonly provider: Provider;
  readonly deadlineMs: number;
  readonly abortGraceMs: number;
  readonly drainMs: number;
  readonly retentionSeconds: number;
  readonly attempts: number;
  readonly backoffMs: number;
  readonly lockMs: number;
  readonly stalledCheckMs: number;
  readonly maxStalledCount: number;
  readonly maxStartedAttempts: number;
  readonly limits: Limits;
  /** The programs that read videos: names on PATH, or paths. */
  readonly decoder: DecoderPrograms;
  readonly hub: Hub;
  /** Where encoded videos are kept, and how much of them; none with 0. */
  readonly tokenStore: { readonly dir: string; readonly limitBytes: number };
  /** Of each model process, memory for videos that lie prefilled in the language model. */
  readonly prefixBytes: number;
  readonly dashboard: DashboardSettings;
  readonly metrics: MetricsSettings;
  /** For how long it is kept what was seen of videos, and how much of it; none with 0. */
  readonly sights: { readonly seconds: number; readonly limitBytes: number };
  readonly logLevel: string;
}

/** Where published models come from and go to. */
export interface Hub {
  readonly endpoint: string;
  readonly token: string | null;
  /** Folder of the models that were pulled. */
  readonly modelsDir: string;
}

/** Settings from code: what is left out has its default. */
export interface SettingsInput extends Partial<Omit<Settings, 'limits' | 'dashboard'>> {
  readonly limits?: Partial<Limits>;
  readonly dashboard?: Partial<DashboardSettings>;
}

/** A variable of the environment, for documentation. */
export interface SettingsVariable {
  readonly name: string;
  readonly meaning: string;
  readonly default: string;
}

const minuteMs = 60_000;
const cores = availableParallelism();

const name = z.string().regex(/^[A-Za-z0-9_.{}-]+$/, 'expected letters, digits and "_ . - { }"');
const url = z.string().check(({ value, issues }) => {
  const message = faultOfUrl(value);
  if (message) issues.push({ code: 'custom', message, input: value });
});
const pem = z.string().transform((path, context) => {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    context.addIssue({ code: 'custom', message: `expected a PEM file that can be read (${code})` });
    return z.NEVER;
  }
});
const folder = z.string().transform((path) => resolve(path));
const folders = z.string().transform((text) =>
  text
    .split(delimiter)
    .filter((folder) => folder !== '')
    .map((folder) => resolve(folder)),
);

const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'];

const variables = {
  REDIS_URL: variable<string | null>(
    url,
    null,
    'Redis that producers and workers share: a server, sentinels or a cluster, see below',
    'a private server on a unix socket below `VISIONZIP_HOME`',
  ),
  VISIONZIP_REDIS_CA: variable<string | null>(
    pem,
    null,
    'file of the certificates by which Redis shows who it is, with TLS',
    "Node's own",
  ),
  VISIONZIP_REDIS_CERT: variable<string | null>(
    pem,
    null,
    'file of the certificate that Redis is shown, with TLS',
    'none',
  ),
  VISIONZIP_REDIS_KEY: variable<string | null>(pem, null, 'file of the key to that certificate', 'none'),
  VISIONZIP_HOME: variable<string | null>(
    folder,
    null,
    'folder of the private Redis server, of encoded videos, and of how much changes in the videos that were looked at',
    '`$XDG_STATE_HOME/visionzip` or `~/.local/state/visionzip`',
  ),
  VISIONZIP_PREFIX: variable(name, defaultPrefix, 'prefix of every key in Redis'),
  VISIONZIP_QUEUE: variable(name, defaultQueue, 'name of the queue'),
  VISIONZIP_VIDEO_DIRS: variable<string[] | null>(
    folders,
    null,
    `folders below which jobs may name videos, separated by "${delimiter}"`,
    'the current folder',
  ),
  VISIONZIP_MODEL_DIRS: variable<string[] | null>(
    folders,
    null,
    `folders in which models lie, separated by "${delimiter}"`,
    "the package's own `models`, and those that were pulled",
  ),
  VISIONZIP_MODEL: variable(z.string(), 'nano', 'model that commands ask without `--model`'),
  VISIONZIP_CONCURRENCY: variable(whole(1, 64), 1, 'jobs at a time; each takes a model process of its own'),
  VISIONZIP_THREADS: variable<number | null>(
    whole(1, 1024),
    null,
    'threads of ONNX Runtime in each model process',
    'cores / concurrency',
  ),
  VISIONZIP_PROVIDER: variable<Provider>(
    z.enum(providers, `expected ${providers.join(', ')}`),
    'cpu',
    `what ONNX Runtime computes on: ${providers.join(', ')}`,
  ),
  VISIONZIP_DEADLINE_MS: variable(ms, 30 * minuteMs, 'a job is stopped and fails after this time'),
  VISIONZIP_ABORT_GRACE_MS: variable(
    ms,
    5_000,
    'a model process that does not stop is killed after this time',
  ),
  VISIONZIP_DRAIN_MS: variable(ms, minuteMs, 'how long a worker told to stop lets its jobs finish'),
  VISIONZIP_RETENTION_SECONDS: variable(
    whole(1, 10 * 365 * 24 * 3600),
    defaultRetentionSeconds,
    'how long results, stored answers and job records are kept',
  ),
  VISIONZIP_ATTEMPTS: variable(whole(1, 100), defaultAttempts, 'how often a job is tried'),
  VISIONZIP_BACKOFF_MS: variable(ms, defaultBackoffMs, 'first pause before another attempt; it doubles'),
  VISIONZIP_LOCK_MS: variable(
    whole(100, 2 ** 31 - 1),
    10_000,
    "how long a worker's claim on a job holds unrenewed",
  ),
  VISIONZIP_STALLED_CHECK_MS: variable(ms, 5_000, 'how often a worker looks for jobs whose worker died'),
  VISIONZIP_MAX_STALLED_COUNT: variable(whole(0), 1_000, 'how often a job may lose its worker'),
  VISIONZIP_MAX_STARTED_ATTEMPTS: variable(whole(1), 10, 'how often a job may be started at all'),
  VISIONZIP_MAX_BYTES: variable(whole(1), defaultLimits.maxBytes, 'largest video file'),
  VISIONZIP_MAX_SECONDS: variable(whole(1), defaultLimits.maxSeconds, 'longest video'),
  VISIONZIP_MAX_PIXELS: variable(whole(1), defaultLimits.maxPixels, 'largest frame, width × height'),
  VISIONZIP_DECODE_TIMEOUT_MS: variable(
    ms,
    defaultLimits.decodeTimeoutMs,
    'the decoder is killed once a job has waited for it this long',
  ),
  VISIONZIP_STORE_DIR: variable<string | null>(
    folder,
    null,
    'folder of encoded videos, which workers may share',
    'the folder `tokens` of `VISIONZIP_HOME`',
  ),
  VISIONZIP_STORE_MIB: variable(
    whole(0, 2 ** 30),
    2048,
    'how much is kept there, the least recently used goes first; 0: nothing is kept',
  ),
  VISIONZIP_PREFIX_MIB: variable(
    whole(0, 2 ** 30),
    512,
    'memory of a model process for videos that were asked about, ready for the next question, and for a conversation about one',
  ),
  ...dashboardVariables,
  VISIONZIP_SIGHT_SECONDS: variable(
    whole(1, 10 * 365 * 24 * 3600),
    24 * 3600,
    'how long Redis keeps what the model saw of a video, for people to look at: small pictures and the patches that were kept',
  ),
  VISIONZIP_SIGHT_MIB: variable(
    whole(0, 2 ** 20),
    64,
    'how much of that is kept, what was not asked about for longest goes first; 0: nothing is made or kept',
  ),
  FFMPEG_PATH: variable<string>(
    z.string(),
    'ffmpeg',
    'the ffmpeg that is used; a static build starts faster',
  ),
  FFPROBE_PATH: variable<string>(z.string(), 'ffprobe', 'the ffprobe that is used'),
  // Others read these three as well: what is wrong with them is for those to say who use them.
  HF_ENDPOINT: variable(
    z.string().transform((text) => text.replace(/\/+$/, '')),
    'https://huggingface.co',
    'hub that models are pulled from',
  ),
  HF_TOKEN: variable<string | null>(
    z.string().transform((token) => token.trim()),
    null,
    'token for models that the hub shows to some only',
    'none',
  ),
  HF_HOME: variable<string | null>(
    folder,
    null,
    'models that were pulled go into its folder `visionzip`',
    '`$XDG_CACHE_HOME/huggingface` or `~/.cache/huggingface`',
  ),
  VISIONZIP_LOG_LEVEL: variable<string>(
    z.enum(logLevels, `expected ${logLevels.join(', ')}`),
    'info',
    `how much a worker and the dashboard log: ${logLevels.join(', ')}`,
  ),
};

type Variables = typeof variables;
type Values = { [Name in keyof Variables]: Variables[Name]['fallback'] };

/** The variables with their meaning and default, in the order of the documentation. */
export const settingsVariables: readonly SettingsVariable[] = Object.entries(variables).map(
  ([name, { meaning, shown, fallback }]) => ({ name, meaning, default: shown ?? `\`${fallback}\`` }),
);

/**
 * The settings as the environment has them; a variable that is unset or empty means its default.
 *
 * @throws InputError that names each wrong variable, what was expected and what was found.
 */
export function readSettings(env: NodeJS.ProcessEnv = process.env): Settings {
  const values = readVariables(env);
  const concurrency = values.VISIONZIP_CONCURRENCY;
  const cache = values.HF_HOME ?? join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'huggingface');
  const modelsDir = join(cache, 'visionzip');
  const home =
    values.VISIONZIP_HOME ?? join(env.XDG_STATE_HOME || join(homedir(), '.local/state'), 'visionzip');
  return {
    redis: redisOf(values),
    home,
    prefix: values.VISIONZIP_PREFIX,
    queue: values.VISIONZIP_QUEUE,
    videoDirs: values.VISIONZIP_VIDEO_DIRS ?? [process.cwd()],
    modelDirs: values.VISIONZIP_MODEL_DIRS ?? [join(findPackageRoot(), 'models'), modelsDir],
    model: values.VISIONZIP_MODEL,
    concurrency,
    threads: values.VISIONZIP_THREADS ?? threadsFor(concurrency),
    provider: values.VISIONZIP_PROVIDER,
    deadlineMs: values.VISIONZIP_DEADLINE_MS,
    abortGraceMs: values.VISIONZIP_ABORT_GRACE_MS,
    drainMs: values.VISIONZIP_DRAIN_MS,
    retentionSeconds: values.VISIONZIP_RETENTION_SECONDS,
    attempts: values.VISIONZIP_ATTEMPTS,
    backoffMs: values.VISIONZIP_BACKOFF_MS,
    lockMs: values.VISIONZIP_LOCK_MS,
    stalledCheckMs: values.VISIONZIP_STALLED_CHECK_MS,
    maxStalledCount: values.VISIONZIP_MAX_STALLED_COUNT,
    maxStartedAttempts: values.VISIONZIP_MAX_STARTED_ATTEMPTS,
    limits: {
      maxBytes: values.VISIONZIP_MAX_BYTES,
      maxSeconds: values.VISIONZIP_MAX_SECONDS,
      maxPixels: values.VISIONZIP_MAX_PIXELS,
      decodeTimeoutMs: values.VISIONZIP_DECODE_TIMEOUT_MS,
    },
    decoder: { ffmpeg: values.FFMPEG_PATH, ffprobe: values.FFPROBE_PATH },
    tokenStore: {
      dir: values.VISIONZIP_STORE_DIR ?? join(home, 'tokens'),
      limitBytes: values.VISIONZIP_STORE_MIB * 2 ** 20,
    },
    prefixBytes: values.VISIONZIP_PREFIX_MIB * 2 ** 20,
    ...dashboardOf(values),
    sights: {
      seconds: values.VISIONZIP_SIGHT_SECONDS,
      limitBytes: values.VISIONZIP_SIGHT_MIB * 2 ** 20,
    },
    hub: { endpoint: values.HF_ENDPOINT, token: values.HF_TOKEN, modelsDir },
    logLevel: values.VISIONZIP_LOG_LEVEL,
  };
}

/** @throws InputError for TLS files that do not go together, or without TLS. */
function redisOf(values: Values): RedisConnection | null {
  const {
    REDIS_URL: url,
    VISIONZIP_REDIS_CA: ca,
    VISIONZIP_REDIS_CERT: cert,
    VISIONZIP_REDIS_KEY: key,
  } = values;
  if (ca === null && cert === null && key === null) return url === null ? null : { url };
  if (!url?.startsWith('rediss')) {
    throw tlsFault(
      'REDIS_URL: expected one with TLS, such as rediss://host:6379, beside VISIONZIP_REDIS_CA, _CERT or _KEY',
    );
  }
  if ((cert === null) !== (key === null)) {
    throw tlsFault('VISIONZIP_REDIS_CERT, VISIONZIP_REDIS_KEY: expected both or none');
  }
  const tls = { ...(ca !== null && { ca }), ...(cert !== null && key !== null && { cert, key }) };
  try {
    createSecureContext(tls);
  } catch (error) {
    const reason = (error as Error).message;
    throw tlsFault(
      `VISIONZIP_REDIS_CA, _CERT, _KEY: expected PEM files, the key that of the certificate (${reason})`,
    );
  }
  return { url, tls };
}

function tlsFault(message: string): InputError {
  return new InputError(message, { fault: 'settings' });
}

/** The defaults, with what was given in their place; the environment is not read. */
export function completeSettings(given: SettingsInput): Settings {
  const defaults = readSettings({});
  const { concurrency = defaults.concurrency, limits, dashboard, ...rest } = dropUndefined(given);
  return {
    ...defaults,
    threads: threadsFor(concurrency),
    ...rest,
    concurrency,
    limits: { ...defaults.limits, ...dropUndefined(limits ?? {}) },
    dashboard: { ...defaults.dashboard, ...dropUndefined(dashboard ?? {}) },
  };
}

function dropUndefined<T extends object>(given: T): T {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as T;
}

/** ONNX Runtime's threads in each of so many model processes. */
function threadsFor(concurrency: number): number {
  return Math.max(1, Math.floor(cores / concurrency));
}

/**
 * One variable's value from a text, for an option that stands in its place.
 *
 * @throws InputError: what was expected
 */
export function readVariable<Name extends keyof Variables>(name: Name, text: string): Values[Name] {
  const parsed = variables[name].schema.safeParse(text);
  if (parsed.success) return parsed.data as Values[Name];
  throw new InputError(`${parsed.error.issues[0]!.message}${describeFound(name, text)}`, {
    fault: 'settings',
  });
}

function readVariables(env: NodeJS.ProcessEnv): Values {
  const faults: string[] = [];
  const entries = Object.entries(variables).map(([name, { schema, fallback }]) => {
    const text = env[name];
    if (text === undefined || text === '') return [name, fallback];
    const parsed = schema.safeParse(text);
    if (!parsed.success)
      faults.push(`${name}: ${parsed.error.issues[0]!.message}${describeFound(name, text)}`);
    return [name, parsed.data];
  });
  if (faults.length > 0) throw new InputError(faults.join('; '), { fault: 'settings' });
  return Object.fromEntries(entries) as Values;
}

const secrets = ['REDIS_URL', 'HF_TOKEN', 'VISIONZIP_DASHBOARD_AUTH', 'VISIONZIP_DASHBOARD_URL'];

/** Any part of a URL that cannot be read may be of a password, and so may a token. */
function describeFound(name: string, text: string): string {
  return secrets.includes(name) ? '' : `, got ${JSON.stringify(text)}`;
}
