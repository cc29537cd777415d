import { once } from 'node:events';
import type { Command } from 'commander';
import { InputError } from '../errors.js';
import { settings } from './connect.js';
import { usageError } from './exit.js';
import { settingOption, wholeNumber } from './options.js';
import { addCommonOptions, type Context, command } from './run.js';

interface DashboardOptions {
  readonly port: number;
  readonly host: string;
  readonly base?: string;
  readonly publicUrl?: string;
  readonly readOnly?: boolean;
  readonly boardWrites?: boolean;
}

export function addDashboard(program: Command): void {
  const dashboard = program
    .command('dashboard')
    .summary('watch the queue in a browser')
    .description(
      'Serves pages that show the queue, each job and its answers until it is told to stop: what happens now, what failed ' +
        'and why, where the time went. Jobs can be asked, cancelled and tried again there. It is open to this machine alone; ' +
        'any other address demands a login, which VISIONZIP_DASHBOARD_AUTH sets to basic:USER:PASSWORD or bearer:TOKEN. ' +
        'Metrics for Prometheus lie at /metrics, bull-board at /queues.',
    )
    .option('--port <n>', 'port; 0 takes a free one', wholeNumber, 3000)
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option(
      '--base <path>',
      "path below which everything lies, such as /visionzip (default: VISIONZIP_DASHBOARD_BASE, else the public URL's)",
      settingOption('VISIONZIP_DASHBOARD_BASE'),
    )
    .option(
      '--public-url <url>',
      'URL that browsers use, where a proxy stands before it (default: VISIONZIP_DASHBOARD_URL)',
      settingOption('VISIONZIP_DASHBOARD_URL'),
    )
    .option('--read-only', 'show everything, and change nothing (default: VISIONZIP_DASHBOARD_READ_ONLY)')
    .option('--board-writes', 'let bull-board change jobs, too');
  const examples = ['dashboard', 'dashboard --port 8080 --read-only', 'dashboard --port 0 --json'];
  addCommonOptions(dashboard, examples).action(command(runDashboard));
}

async function runDashboard(context: Context, options: DashboardOptions): Promise<void> {
  const { host, port, boardWrites } = options;
  if (port > 65_535) throw usageError(`--port: expected a port from 0 to 65535, got ${port}`);
  const configured = settings();
  const { base, publicUrl, isReadOnly } = configured.dashboard;
  const own = {
    ...configured.dashboard,
    base: options.base ?? base,
    publicUrl: options.publicUrl ?? publicUrl,
    isReadOnly: options.readOnly ?? isReadOnly,
  };
  const { startDashboard } = await import('../dashboard/server.js');
  const dashboard = await startDashboard({
    ...{ settings: { ...configured, dashboard: own }, host, port, boardWrites },
  }).catch((error) => {
    if (error instanceof InputError) throw usageError(error.message);
    if (!['listen', 'getaddrinfo'].includes(error.syscall)) throw error;
    throw usageError(`--port, --host: cannot listen on ${host}:${port} (${error.code})`);
  });
  context.document({ url: dashboard.url });
  if (!context.json) process.stdout.write(`${dashboard.url}\n`);
  if (!context.signal.aborted) await once(context.signal, 'abort');
  await dashboard.close();
}
