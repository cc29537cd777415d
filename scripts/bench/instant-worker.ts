import { fileURLToPath } from 'node:url';
import { readSettings } from '../../src/settings.js';
import { runWorker } from '../../src/workers/worker.js';

// A worker whose model process computes nothing: see instant-child.ts.
await runWorker(readSettings(), {
  modelEntry: fileURLToPath(new URL('./instant-child.js', import.meta.url)),
});
