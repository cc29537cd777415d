import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryFolder } from './media.js';
import { cli } from './support/cli.js';

const folder = temporaryFolder();

/** The packages that a command line loads: V8's coverage lists every script that ran. */
async function packagesOf(...args: string[]): Promise<Set<string>> {
  const out = join(folder, args.join('-'));
  const { code } = await cli(args, { NODE_V8_COVERAGE: out });
  expect(code).toBe(0);
  const [file] = await readdir(out);
  const { result } = JSON.parse(await readFile(join(out, file!), 'utf8')) as { result: { url: string }[] };
  return new Set(result.flatMap(({ url }) => /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1] ?? []));
}

describe('a command line that only tells', () => {
  test.each(['--version', '--help', 'ask --help', 'worker --help', 'batch --help'])(
    '(%s) loads nothing large',
    async (line) => {
      const packages = await packagesOf(...line.split(' '));
      expect(packages).toContain('commander');
      const large =
        /^(sharp|@img|onnxruntime|bullmq|ioredis|express|fluent-ffmpeg|csv-parse|hyparquet|pino$|@(bull-board|huggingface)\/)/;
      expect([...packages].filter((name) => large.test(name))).toEqual([]);
    },
  );
});
