import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { withLock } from '../src/workers/lock.js';
import { checkRedis, ensureRedis, stopRedis } from '../src/workers/redis.js';
import { until } from './support/script.js';

describe('the private Redis', () => {
  let home: string;
  const settings = () => ({ redis: null, home });

  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'visionzip-'));
  });
  afterEach(async () => {
    await stopRedis(settings());
    await rm(home, { recursive: true, force: true });
  });

  it('is started on a socket below the home folder, durable and without eviction', async () => {
    const { connection, address, started } = await ensureRedis(settings());
    expect(started).toBe(true);
    expect(address).toBe(join(home, 'redis/s'));
    expect(connection).toEqual({ path: address });
    expect(await configOf(address, 'appendonly', 'maxmemory-policy', 'port')).toEqual([
      'yes',
      'noeviction',
      '0',
    ]);
    await expect(checkRedis(connection)).resolves.toMatchObject({ maxMemoryPolicy: 'noeviction' });
  });

  it('is adopted where it runs', async () => {
    await ensureRedis(settings());
    const pid = pidOf(home);
    expect(await ensureRedis(settings())).toMatchObject({ started: false });
    expect(pidOf(home)).toBe(pid);
  });

  it('is started once by many callers at once', async () => {
    const results = await Promise.all(Array.from({ length: 8 }, () => ensureRedis(settings())));
    expect(results.filter(({ started }) => started)).toHaveLength(1);
    expect(serversOf(home)).toHaveLength(1);
  });

  it('keeps its data over stop and kill -9', async () => {
    const { address } = await ensureRedis(settings());
    await withRedis(address, (redis) => redis.set('a', '1'));
    expect(await stopRedis(settings())).toBe(true);
    expect(serversOf(home)).toHaveLength(0);
    expect(await stopRedis(settings())).toBe(false);
    await ensureRedis(settings());
    await withRedis(address, (redis) => redis.set('b', '2'));
    process.kill(pidOf(home), 'SIGKILL');
    await ensureRedis(settings());
    expect(await withRedis(address, (redis) => redis.mget('a', 'b'))).toEqual(['1', '2']);
  });

  it('is started although a pid file names a process that is none of ours', async () => {
    await mkdir(join(home, 'redis'));
    await writeFile(join(home, 'redis/pid'), `${process.pid}`);
    expect(await ensureRedis(settings())).toMatchObject({ started: true });
  });

  it('is found and stopped although its title does not tell its socket, as with Redis 6.0', async () => {
    await writeFile(
      join(home, 'redis-server'),
      `#!/bin/sh\nPATH=${process.env.PATH}\nexec redis-server "$@" --proc-title-template redis\n`,
      { mode: 0o755 },
    );
    const path = process.env.PATH;
    process.env.PATH = `${home}:${path}`;
    const { address } = await ensureRedis(settings()).finally(() => {
      process.env.PATH = path;
    });
    const pid = pidOf(home);
    expect(commandOf(pid)).toMatch(/^redis(?!-server)/);
    await withRedis(address, (redis) => redis.set('a', '1'));
    expect(await ensureRedis(settings())).toMatchObject({ started: false });
    expect(await stopRedis(settings())).toBe(true);
    expect(commandOf(pid)).not.toMatch(/^redis/);
    await ensureRedis(settings());
    expect(await withRedis(address, (redis) => redis.get('a'))).toBe('1');
  });

  it('is waited for, and no second one started, while it does not answer', async () => {
    await ensureRedis(settings());
    const pid = pidOf(home);
    process.kill(pid, 'SIGSTOP');
    const again = ensureRedis(settings());
    await until(() => existsSync(join(home, 'redis/starting')));
    process.kill(pid, 'SIGCONT');
    expect(await again).toMatchObject({ started: false });
    expect(serversOf(home)).toHaveLength(1);
  });

  it('is left alone where REDIS_URL names another server', async () => {
    const elsewhere = { redis: { url: 'redis://user:secret@127.0.0.1:1' }, home };
    const { address, started, connection } = await ensureRedis(elsewhere);
    expect([address, started]).toEqual(['redis://127.0.0.1:1', false]);
    expect(await stopRedis(elsewhere)).toBe(false);
    await expect(checkRedis(connection)).rejects.toThrow(
      'cannot reach Redis at redis://127.0.0.1:1: connect ECONNREFUSED 127.0.0.1:1',
    );
  });

  it('says how to install a server where there is none', async () => {
    const path = process.env.PATH;
    process.env.PATH = home;
    try {
      await expect(ensureRedis(settings())).rejects.toThrow('sudo apt-get install redis-server');
    } finally {
      process.env.PATH = path;
    }
    expect(existsSync(join(home, 'redis/starting'))).toBe(false);
  });

  it('refuses a home folder whose socket no system could open', async () => {
    const long = join(home, 'x'.repeat(100));
    await expect(ensureRedis({ redis: null, home: long })).rejects.toThrow(
      /has at most 107 bytes, .*x\/redis\/s has \d+: set `VISIONZIP_HOME`/,
    );
  });

  it('is refused when it is older than BullMQ can use', async () => {
    const info = '# Server\r\nredis_version:6.0.16\r\nredis_mode:standalone\r\nloading:0\r\n';
    const path = join(home, 'old');
    const server = createServer((socket) => {
      socket.on('data', (data) => {
        const [, ...commands] = data.toString().split(/^\*\d+\r\n/m);
        for (const command of commands)
          socket.write(/^info\r/im.test(command) ? `$${info.length}\r\n${info}\r\n` : '+OK\r\n');
      });
    }).listen(path);
    await once(server, 'listening');
    await expect(checkRedis({ path })).rejects.toThrow(
      `Redis at ${path} is of version 6.0.16: expected 6.2 or newer`,
    );
    server.close();
  });

  it('is refused when it could throw jobs away', async () => {
    const { connection, address } = await ensureRedis(settings());
    await withRedis(address, (redis) => redis.config('SET', 'maxmemory-policy', 'allkeys-lru'));
    await expect(checkRedis(connection)).rejects.toThrow('expected noeviction');
  });
});

describe('the lock', () => {
  let file: string;
  beforeEach(async () => {
    file = join(await mkdtemp(join(tmpdir(), 'visionzip-')), 'lock');
  });
  afterEach(() => rm(join(file, '..'), { recursive: true, force: true }));

  it('is held by one at a time, also when the last holder died', async () => {
    const dead = spawn('true');
    await once(dead, 'exit');
    await writeFile(file, `${dead.pid} left behind`);
    let inside = 0;
    const order = await Promise.all(
      [1, 2, 3, 4, 5].map((n) =>
        withLock(file, 10_000, async () => {
          inside += 1;
          await new Promise((resolve) => setImmediate(resolve));
          expect(inside).toBe(1);
          inside -= 1;
          return n;
        }),
      ),
    );
    expect(order).toEqual([1, 2, 3, 4, 5]);
    expect(existsSync(file)).toBe(false);
  });

  it('gives up on a living holder and names it', async () => {
    await writeFile(file, `${process.ppid} held`);
    await expect(withLock(file, 50, async () => {})).rejects.toThrow(
      `still held by process ${process.ppid} held`,
    );
  });

  it('takes over what another process of its own number left, as in a container', async () => {
    await writeFile(file, `${process.pid} left behind`);
    await expect(withLock(file, 50, async () => 'done')).resolves.toBe('done');
  });
});

function pidOf(home: string): number {
  return Number(readFileSync(join(home, 'redis/pid'), 'utf8'));
}

/** Empty for a process that is gone. */
function commandOf(pid: number): string {
  return spawnSync('ps', ['-o', 'args=', '-p', `${pid}`], { encoding: 'utf8' }).stdout.trim();
}

/** Processes whose title names the socket below this folder. */
function serversOf(home: string): string[] {
  const lines = execFileSync('ps', ['-ww', '-eo', 'pid,args'], { encoding: 'utf8' }).split('\n');
  return lines.filter((line) => line.includes(`unixsocket:${join(home, 'redis/s')}`));
}

async function withRedis<T>(path: string, use: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis({ path });
  try {
    return await use(redis);
  } finally {
    redis.disconnect();
  }
}

async function configOf(path: string, ...names: string[]): Promise<string[]> {
  return withRedis(path, (redis) =>
    Promise.all(names.map(async (name) => ((await redis.config('GET', name)) as string[])[1]!)),
  );
}
