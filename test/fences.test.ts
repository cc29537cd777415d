import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { FfmpegError } from '../src/errors.js';
import { decoderSandbox, useDecoder } from '../src/media/ffmpeg.js';
import { inputArgs, MAX_STREAMS } from '../src/media/media.js';
import { defaultLimits, openVideo } from '../src/media/open.js';
import { findSandbox, killGroup } from '../src/media/sandbox.js';
import { ffmpeg, h264, temporaryFolder, testPattern } from './media.js';
import { until } from './support/script.js';

/* What stands between a hostile file and this machine: each fence is tried by what it has to stop. */

const run = promisify(execFile);
const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const plain = at('plain.mp4');
const here = fileURLToPath(import.meta.url);

beforeAll(() => ffmpeg(...testPattern(64, 48, 25, 1), ...h264(), plain));

describe('of what ffmpeg knows, a file may reach', () => {
  test.each(['nut', 'rawvideo.y4m', 'mxf'])('no container beyond the list: %s', async (name) => {
    const file = at(`other.${name}`);
    const codec = name.endsWith('y4m') ? ['-pix_fmt', 'yuv420p'] : ['-c:v', 'mpeg2video'];
    await ffmpeg('-i', plain, ...codec, file);
    await expect(openVideo(file, defaultLimits)).rejects.toThrow(
      /expected a video .*, found another format$/,
    );
  });

  test.each(['ffmpeg', 'ffprobe'] as const)('no address of the network: %s', async (program) => {
    let requests = 0;
    const server = createServer((_, response) => {
      requests += 1;
      response.end();
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/clip.mp4`;
    const media = { path: plain, identity: '', demuxer: null, maxPixels: 1 };
    await expect(run(program, [...inputArgs(media, program), '-i', url])).rejects.toThrow(/not on whitelist/);
    expect(requests).toBe(0);
    server.close();
  });

  test('no more than a hundred streams', async () => {
    const file = at('streams.mkv');
    const maps = Array.from({ length: MAX_STREAMS + 1 }, () => ['-map', '0:v']).flat();
    await ffmpeg('-i', plain, ...maps, '-c', 'copy', '-t', '0.2', file);
    await expect(openVideo(file, defaultLimits)).rejects.toThrow(/expected at most 100 streams, found more$/);
  });
});

describe('a decoder', () => {
  afterEach(() => useDecoder({ ffmpeg: 'ffmpeg', ffprobe: 'ffprobe' }));

  /** What a program finds that runs in ffprobe's place, and the name of the sandbox that it runs in. */
  async function find(commands: string): Promise<{ found: string; sandbox: string }> {
    await writeFile(at('looker'), `#!/bin/sh\n{ ${commands}; } >&2 2>&1\nexit 1\n`);
    await chmod(at('looker'), 0o755);
    useDecoder({ ffprobe: at('looker') });
    const error = await openVideo(plain, defaultLimits).catch((reason: Error) => reason);
    const { cause } = error as Error;
    expect(cause).toBeInstanceOf(FfmpegError);
    return { found: (cause as FfmpegError).stderr.trim(), sandbox: await decoderSandbox() };
  }

  test('may use a gigabyte of memory before the size of its frames is known', async (context) => {
    const { found, sandbox } = await find('ulimit -v');
    if (!sandbox.includes('prlimit')) return context.skip('this machine has no prlimit');
    expect(found).toBe(String(2 ** 20)); // kB
  });

  test('writes nothing, and keeps no core', async (context) => {
    const { found, sandbox } = await find('ulimit -f; ulimit -c');
    if (!sandbox.includes('prlimit')) return context.skip('this machine has no prlimit');
    expect(found.split('\n')).toEqual(['0', '0']);
  });

  test('sees none of this process’s environment', async (context) => {
    process.env.VISIONZIP_TEST_SECRET = 'secret';
    const { found, sandbox } = await find('env').finally(() => delete process.env.VISIONZIP_TEST_SECRET);
    if (sandbox.startsWith('none')) return context.skip('this machine has no sandbox');
    expect(found).toContain('PWD=');
    expect(found).not.toContain('secret');
  });

  test('sees neither files nor a network where bubblewrap works', async (context) => {
    const { found, sandbox } = await find(`ls ${here}; grep -c : /proc/net/dev`);
    if (!sandbox.startsWith('bubblewrap')) return context.skip('bubblewrap does not work on this machine');
    // The program's own folder is let in, and nothing beside it; of interfaces there is the loopback alone.
    expect(found.split('\n')).toEqual([expect.stringMatching(/No such file/), '1']);
  });

  test('is gone when it is killed, however far the sandbox around it has come', async () => {
    const sandbox = await findSandbox({ ffmpeg: 'ffmpeg', ffprobe: 'ffprobe' });
    const endless = ['-v', 'error', '-re', '-f', 'lavfi', '-i', 'testsrc', '-f', 'null', folder];
    const [program, ...args] = sandbox.wrap('ffmpeg', endless, { memoryBytes: 2 ** 30, cpuSeconds: 60 });
    // Bubblewrap makes its namespaces in the first milliseconds.
    for (const tick of Array(200).keys()) {
      const child = spawn(program!, args, { detached: true, stdio: 'ignore', env: sandbox.env });
      const end = performance.now() + (tick % 50) / 4;
      while (performance.now() < end);
      killGroup(child);
      await once(child, 'exit');
    }
    await until(async () => !(await run('ps', ['-ww', '-eo', 'args='])).stdout.includes(endless.join(' ')));
  });
});
