/** A worker from code: it answers the jobs of a queue inside the caller's process and its model processes. */
import { type Logger, pino } from 'pino';
import { completeSettings, type SettingsInput } from '../settings.js';
import { type AskWorker, startWorker as startWith } from './worker.js';

export type { RedisConnection } from '../../queues/connection.js';
export { readSettings, type Settings, type SettingsInput } from '../settings.js';
export { type EnsuredRedis, ensureRedis, stopRedis } from './redis.js';
export type { AskWorker };

export interface StartOptions {
  /** Default: pino on standard error, at the level `logLevel` of the settings. */
  readonly logger?: Logger;
}

/**
 * Starts a worker and lets it take jobs; `close()` lets those in hand finish. The environment is not read: for
 * that, pass `readSettings()`. What is left out of the settings has the defaults of docs/settings.md;
 * without `redis` a private Redis server is started or adopted. Signals are the caller's to handle.
 *
 * @throws RedisUnavailableError where Redis cannot be reached or is not fit for a queue.
 */
export async function startWorker(
  settings: SettingsInput = {},
  options: StartOptions = {},
): Promise<AskWorker> {
  const complete = completeSettings(settings);
  const logger =
    options.logger ?? pino({ name: 'visionzip-worker', level: complete.logLevel }, pino.destination(2));
  return startWith(complete, logger);
}
