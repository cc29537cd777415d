/** The queue client, for producers of jobs; and the pipeline, for whoever answers without a queue. */
export * from '../queues/index.js';
export * from './pipeline/index.js';
