import type { Command } from 'commander';
import { plural } from '../format.js';
import { TokenStore } from '../sources/token-store.js';
import { settings } from './connect.js';
import { addCommonOptions, type Context, command } from './run.js';

export function addStore(program: Command): void {
  const store = program
    .command('store')
    .summary('see or empty the store of encoded videos')
    .description(
      'A video is decoded and encoded once: its tokens are kept as files, so that a later question needs neither. The least recently ' +
        'used go first; VISIONZIP_STORE_DIR and VISIONZIP_STORE_MIB say where and how much.',
    );
  const status = store
    .command('status')
    .summary('how much is kept')
    .description('Says where encoded videos are kept, how many files there are, and how much they take.');
  addCommonOptions(status, ['store status', 'store status --json']).action(command(runStatus));
  const clear = store
    .command('clear')
    .summary('remove all of it')
    .description('Removes every encoded video. What is asked again is encoded again; answers stay.');
  addCommonOptions(clear, ['store clear']).action(command(runClear));
}

function open(): TokenStore {
  const { dir, limitBytes } = settings().tokenStore;
  return new TokenStore(dir, limitBytes);
}

async function runStatus(context: Context): Promise<void> {
  const status = await open().status();
  context.document(status);
  if (context.json) return;
  const { dir, files, bytes, limitBytes, oldest } = status;
  const limit =
    limitBytes > 0 ? `of ${mib(limitBytes)} MiB` : 'and nothing more is kept (VISIONZIP_STORE_MIB=0)';
  const lines = [
    `folder  ${dir}`,
    `kept    ${plural(files, 'file')}, ${mib(bytes)} MiB ${limit}`,
    ...(oldest ? [`oldest  last used ${oldest.toISOString()}`] : []),
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}

async function runClear(context: Context): Promise<void> {
  const removed = await open().clear();
  context.document(removed);
  if (!context.json)
    process.stdout.write(`removed ${plural(removed.files, 'file')}, ${mib(removed.bytes)} MiB\n`);
}

function mib(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1);
}
