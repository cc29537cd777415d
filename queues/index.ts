export {
  type CancelOutcome,
  QueueClient,
  type QueueClientOptions,
  type QueueStatus,
} from './client.js';
export {
  addressOf,
  connected,
  explained,
  hastyClient,
  patientClient,
  patientOptions,
  type RedisConnection,
  RedisUnavailableError,
} from './connection.js';
export { Documents, failureDocument } from './documents.js';
export type { WaitOptions } from './events.js';
export { describeFaults } from './faults.js';
export { checkMemory, memoryLimitShare, type RedisHealth, readHealth } from './health.js';
export * from './options.js';
export * from './schemas.js';
