import type { Command } from 'commander';
import { settings } from './connect.js';
import { usageError } from './exit.js';
import { addCommonOptions, type Context, command } from './run.js';

interface RedisOptions {
  readonly stop?: boolean;
  readonly status?: boolean;
}

export function addRedis(program: Command): void {
  const redis = program
    .command('redis')
    .summary('start or stop the private Redis server')
    .description(
      'Starts the private Redis server, or finds the one that runs, and prints its address. ' +
        'Where REDIS_URL is set, that server is used and none is started. Other commands start it by themselves.',
    )
    .option('--stop', 'stop the private server; its data stay')
    .option('--status', 'only look: exit code 3 where it does not answer');
  addCommonOptions(redis, ['redis', 'redis --status --json', 'redis --stop']).action(command(runRedis));
}

async function runRedis(context: Context, options: RedisOptions): Promise<void> {
  if (options.stop && options.status) throw usageError('give --stop or --status, not both');
  if (options.stop) await stop(context);
  else if (options.status) await look(context);
  else await start(context);
}

async function start(context: Context): Promise<void> {
  const { ensureRedis } = await import('../workers/redis.js');
  const { address, started } = await ensureRedis(settings());
  context.document({ address, started });
  if (!context.json) process.stdout.write(`${address}\n`);
}

async function stop(context: Context): Promise<void> {
  const { stopRedis } = await import('../workers/redis.js');
  const configured = settings();
  if (configured.redis !== null) {
    throw usageError("REDIS_URL names a server that is not this command's own: it is not stopped");
  }
  const stopped = await stopRedis(configured);
  context.document({ stopped });
  if (!context.json) process.stdout.write(stopped ? 'stopped\n' : 'it was not running\n');
}

async function look(context: Context): Promise<void> {
  const { addressOf } = await import('../../queues/connection.js');
  const { checkRedis, connectionOf } = await import('../workers/redis.js');
  const connection = connectionOf(settings());
  await checkRedis(connection);
  const address = addressOf(connection);
  context.document({ address, running: true });
  if (!context.json) process.stdout.write(`${address}\n`);
}
