import { once } from 'node:events';
import type { Command } from 'commander';
import { settings } from './connect.js';
import { usageError } from './exit.js';
import { wholeNumber } from './options.js';
import { addCommonOptions, type Context, command } from './run.js';

interface DashboardOptions {
  readonly port: number;
  readonly host: string;
}

export function addDashboard(program: Command): void {
  const dashboard = program
    .command('dashboard')
    .summary('watch the queue in a browser')
    .description(
      'Serves a page that shows the queue, its jobs and their results until it is told to stop. It changes nothing. ' +
        'It asks for no password: leave it on the loopback address, or put a server with a login before it.',
    )
    .option('--port <n>', 'port; 0 takes a free one', wholeNumber, 3000)
    .option('--host <address>', 'address to listen on', '127.0.0.1');
  addCommonOptions(dashboard, ['dashboard', 'dashboard --port 0 --json']).action(command(runDashboard));
}

async function runDashboard(context: Context, { host, port }: DashboardOptions): Promise<void> {
  if (port > 65_535) throw usageError(`--port: expected a port from 0 to 65535, got ${port}`);
  const { startDashboard } = await import('../dashboard/server.js');
  const dashboard = await startDashboard({ settings: settings(), host, port }).catch((error) => {
    if (error.syscall !== 'listen') throw error;
    throw usageError(`--port, --host: cannot listen on ${host}:${port} (${error.code})`);
  });
  context.document({ url: dashboard.url });
  if (!context.json) process.stdout.write(`${dashboard.url}\n`);
  if (!context.signal.aborted) await once(context.signal, 'abort');
  await dashboard.close();
}
