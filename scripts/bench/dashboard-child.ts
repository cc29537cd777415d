import { startDashboard } from '../../src/dashboard/server.js';

// Serves the dashboard of a queue, and prints its URL: HOME PREFIX QUEUE.
const [home = '', prefix = '', queue = ''] = process.argv.slice(2);
const dashboard = await startDashboard({ settings: { home, prefix, queue, logLevel: 'warn' }, port: 0 });
console.log(dashboard.url);
