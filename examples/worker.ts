/**
 * A worker and the dashboard of its queue in one process, until SIGTERM or Ctrl-C:
 * VISIONZIP_VIDEO_DIRS=/videos node worker.js
 */
import { startDashboard } from 'visionzip-worker/dashboard';
import { readSettings, startWorker } from 'visionzip-worker/worker';

const settings = readSettings(); // Of the environment; an object of your own will do as well.
const worker = await startWorker(settings);
const dashboard = await startDashboard({ settings, port: Number(process.env.PORT ?? 3000) });
console.log(`watch the queue: ${dashboard.url}`);

async function stop(): Promise<void> {
  await worker.close(); // Lets the jobs in hand finish.
  await dashboard.close();
}
process.once('SIGTERM', stop).once('SIGINT', stop);
