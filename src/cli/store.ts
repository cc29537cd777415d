import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename } from 'node:path';
import Table from 'cli-table3';
import type { Command } from 'commander';
import type { Counts, VideoRecord } from '../../queues/videos.js';
import { plural } from '../format.js';
import { TokenStore } from '../sources/token-store.js';
import { settings } from './connect.js';
import { addCommonOptions, type Context, command } from './run.js';
import { withRecords, withRecordsIfThere } from './video-records.js';

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
    .description(
      'Says where encoded videos are kept, how many files there are, and how much they take; where Redis can be reached also how ' +
        'often workers found what was asked for there, in memory, or among the stored answers.',
    );
  addCommonOptions(status, ['store status', 'store status --json']).action(command(runStatus));
  const list = store
    .command('list')
    .summary('which videos are kept')
    .description(
      'Lists the encoded videos of which workers have told Redis, the one that was used last first. Those that `visionzip ask` ' +
        'alone has used are not among them. With --json `file` is where a video lies on this machine, null where it does not.',
    );
  addCommonOptions(list, ['store list', 'store list --json']).action(command(runList));
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
  const counts = await withRecordsIfThere(async (redis, keys) => {
    const { readCounts } = await import('../../queues/videos.js');
    return readCounts(redis, keys);
  });
  context.document({ ...status, counts });
  if (context.json) return;
  const { dir, files, bytes, limitBytes, oldest } = status;
  const limit =
    limitBytes > 0 ? `of ${mib(limitBytes)} MiB` : 'and nothing more is kept (VISIONZIP_STORE_MIB=0)';
  const lines = [
    `folder   ${dir}`,
    `kept     ${plural(files, 'file')}, ${mib(bytes)} MiB ${limit}`,
    ...(oldest ? [`oldest   last used ${oldest.toISOString()}`] : []),
    ...(counts ? describeCounts(counts) : ['hits     unknown: Redis cannot be reached']),
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}

function describeCounts(counts: Counts): string[] {
  const { answerHits, answerMisses, prefixHits, prefixMisses, storeHits, storeMisses } = counts;
  return [
    `answers  ${share(answerHits, answerMisses)} were stored`,
    `videos   ${share(prefixHits, prefixMisses)} were prefilled in memory`,
    `         ${share(storeHits, storeMisses)} others were among the files`,
  ];
}

function share(hits: number, misses: number): string {
  return `${hits} of ${hits + misses}`;
}

async function runList(context: Context): Promise<void> {
  const records = await withRecords(async (redis, keys) => {
    const { readVideos } = await import('../../queues/videos.js');
    return readVideos(redis, keys);
  });
  const store = open();
  const videos = records.map((record) => ({ ...record, file: fileOf(store, record) }));
  context.document(videos);
  if (context.json) return;
  if (videos.length === 0) {
    process.stdout.write('no worker has told of a video yet\n');
    return;
  }
  const table = new Table({
    head: ['video', 'model', 'frames', 'tokens', 'MiB', 'used again', 'last used'],
    colAligns: ['left', 'left', 'right', 'right', 'right', 'right', 'left'],
    style: { head: [], border: [] },
  });
  for (const one of videos) table.push(describeVideo(one));
  process.stdout.write(`${table.toString()}\n`);
}

/** Null where it is another machine's, or was removed since. */
function fileOf(store: TokenStore, { name, host, dir }: VideoRecord): string | null {
  const path = store.pathOf(name);
  return host === hostname() && dir === store.dir && existsSync(path) ? path : null;
}

function describeVideo(record: VideoRecord & { readonly file: string | null }): string[] {
  const { video, model, frames, tokensBefore, tokensAfter, bytes, hits, usedAt, host, dir, file } = record;
  const isOurs = host === hostname() && dir === settings().tokenStore.dir;
  const size = isOurs && file === null ? 'removed' : mib(bytes);
  const tokens = `${tokensAfter} of ${tokensBefore}`;
  return [basename(video), model, String(frames), tokens, size, String(hits), usedAt];
}

async function runClear(context: Context): Promise<void> {
  const store = open();
  const removed = await store.clear();
  await withRecordsIfThere(async (redis, keys) => {
    const { forgetVideos, readVideos } = await import('../../queues/videos.js');
    const ours = (await readVideos(redis, keys)).filter(
      ({ host, dir }) => host === hostname() && dir === store.dir,
    );
    const names = ours.map(({ name }) => name);
    await forgetVideos(redis, keys, names);
  });
  context.document(removed);
  if (!context.json)
    process.stdout.write(`removed ${plural(removed.files, 'file')}, ${mib(removed.bytes)} MiB\n`);
}

function mib(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1);
}
