import { hostname } from 'node:os';
import type { Settings } from '../settings.js';

/** By which `visionzip status` names a worker. */
export const workerName = `${hostname()}-${process.pid}`;

/** BullMQ's options of a worker. */
export function workerOptions(settings: Settings) {
  const kept = { age: settings.retentionSeconds };
  return {
    autorun: false,
    name: workerName,
    prefix: settings.prefix,
    concurrency: settings.concurrency,
    lockDuration: settings.lockMs,
    stalledInterval: settings.stalledCheckMs,
    maxStalledCount: settings.maxStalledCount,
    maxStartedAttempts: settings.maxStartedAttempts,
    runRetryDelay: 1_000,
    removeOnComplete: kept,
    removeOnFail: kept,
  };
}
