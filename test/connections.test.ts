import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { QueueClient } from '../queues/client.js';
import { addressOf } from '../queues/connection.js';
import type { RedisConnection } from '../queues/index.js';
import { faultOfUrl } from '../queues/url.js';
import { readSettings } from '../src/settings.js';
import { FakeWorker } from './support/fake-worker.js';
import { freshQueue } from './support/redis.js';
import { until } from './support/script.js';

/* Servers that are not the private one: with access lists, TLS, sentinels, a cluster. */

let folder: string;
let ended: (() => void)[];
let servers: ChildProcess[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'visionzip-'));
  ended = [];
  servers = [];
});
afterEach(async () => {
  for (const end of ended) end();
  await rm(folder, { recursive: true, force: true });
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A server until the end of the test; resolves once it answers. */
async function serve(connection: RedisConnection, ...args: string[]): Promise<void> {
  const options = ['--dir', folder, '--save', '', '--maxmemory-policy', 'noeviction'];
  const server = spawn('redis-server', [...args, ...(args.includes('--sentinel') ? [] : options)], {
    stdio: 'ignore',
  });
  servers.push(server);
  ended.push(() => server.kill('SIGKILL'));
  const redis = new Redis({
    ...connection,
    lazyConnect: true,
    retryStrategy: () => 20,
    maxRetriesPerRequest: null,
  });
  redis.on('error', () => {});
  await redis.ping();
  redis.disconnect();
}

function open(connection: RedisConnection, prefix?: string): QueueClient {
  const client = new QueueClient({ connection, prefix, queue: freshQueue() });
  ended.push(() => void client.close());
  return client;
}

const job = { video: 'a.mp4', questions: 'what?' };

describe('the address of Redis', () => {
  it.each([
    ['redis://user:secret@host:6380/2', 'redis://host:6380/2'],
    ['redis://host/?password=secret', 'redis://host/'],
    ['rediss://:secret@host?password=secret&db=1', 'rediss://host'],
    ['redis+cluster://user:secret@one:6380,two', 'the cluster one:6380, two:6379'],
    ['rediss+cluster://:secret@one', 'the cluster one:6379'],
    ['redis+sentinel://:secret@one:26380,two/main', 'main by the sentinels one:26380, two:26379'],
  ])('of %s shows no password', (url, shown) => {
    expect(addressOf({ url })).toBe(shown);
  });

  it.each([
    'redis://:p@ss/w#rd@host',
    'redis://:se#cret@host',
    'redis://:sec?ret@host',
    'redis://:s/ecret@host:6379',
  ])('of %s, whose password is not encoded, is refused without a part of it', (url) => {
    expect(faultOfUrl(url)).toMatch(/percent-encoded/);
    for (const read of [
      () => new QueueClient({ connection: { url } }),
      () => readSettings({ REDIS_URL: url }),
    ]) {
      expect(read).toThrow(/percent-encoded/);
      expect(read).not.toThrow(/ss\/w|rd@|host|cret/);
    }
  });

  it.each(['redis://:50%@host', 'redis://user:a%zz@host'])(
    'of %s is refused: the sign is not encoded',
    (url) => {
      const read = () => new QueueClient({ connection: { url } });
      expect(read).toThrow(/"%" is %25/);
      expect(read).not.toThrow(/50|zz/);
    },
  );

  it('may name sentinels', () => {
    const sentinels = [{ host: 'a', port: 1 }, { host: 'b' }];
    expect(addressOf({ sentinels, name: 'main', password: 'secret' })).toBe(
      'main by the sentinels a:1, b:26379',
    );
  });
});

describe('a server that refuses the password', () => {
  it.each([{}, { username: 'user' }])('is told without it, in the cause as well (%o)', async (user) => {
    const path = join(folder, 's');
    await serve({ path, password: 'right' }, '--port', '0', '--unixsocket', path, '--requirepass', 'right');
    const error = await open({ path, ...user, password: 'wr0ng' })
      .ask(job)
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      name: 'RedisUnavailableError',
      message: expect.stringMatching(/WRONGPASS/),
    });
    expect(inspect(error, { depth: null, showHidden: true })).not.toContain('wr0ng');
  });
});

describe('a server that does not tell who is connected', () => {
  it('takes jobs, and says of the workers that they are unknown', async () => {
    const path = join(folder, 's');
    await serve({ path }, '--port', '0', '--unixsocket', path);
    const admin = new Redis(path);
    ended.push(() => admin.disconnect());
    await admin.call('ACL', 'SETUSER', 'limited', 'on', '>secret', '~*', '&*', '+@all', '-client|list');
    const connection = { path, username: 'limited', password: 'secret' };
    const client = open(connection);
    const { queue, workers } = await client.status();
    expect(workers).toBeNull();
    const worker = new FakeWorker(connection, queue, () => ({ answers: ['red'] }));
    const document = await client.askAndWait(job, { onNoWorker: () => expect.fail('nobody knows') });
    expect(document.status).toBe('completed');
    await worker.close();
  });
});

describe('a client whose server has gone for good', () => {
  it('can be closed, and whoever waits is told', async () => {
    const path = join(folder, 's');
    await serve({ path }, '--port', '0', '--unixsocket', path);
    const client = open({ path });
    const id = await client.ask(job);
    const waited = expect(client.wait(id)).rejects.toThrow('the queue client was closed');
    const admin = new Redis(path);
    admin.on('error', () => {});
    await until(async () => String(await admin.client('LIST')).includes('cmd=xread'));
    admin.disconnect();
    ended[0]!();
    await until(
      async () =>
        !(await client.status().then(
          () => true,
          () => false,
        )),
    );
    await client.close();
    await waited;
  });
});

describe('a server that is frozen', () => {
  it('is told by every call, also by one that was connected before', async () => {
    const path = join(folder, 's');
    await serve({ path }, '--port', '0', '--unixsocket', path);
    const [used, fresh] = [open({ path }), open({ path })];
    await used.ask(job);
    const server = servers.at(-1)!;
    server.kill('SIGSTOP');
    for (const call of await Promise.allSettled([used.ask(job), used.status(), fresh.ask(job)])) {
      expect(call).toMatchObject({
        status: 'rejected',
        reason: {
          name: 'RedisUnavailableError',
          message: expect.stringContaining(`cannot reach Redis at ${path}: `),
        },
      });
    }
    server.kill('SIGCONT');
    await until(async () =>
      used.ask(job).then(
        () => true,
        () => false,
      ),
    );
  });
});

describe('a server that speaks TLS', () => {
  it('is reached with its options', async () => {
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const subject = ['-subj', '/CN=localhost', '-days', '2', '-addext', 'subjectAltName=DNS:localhost'];
    execFileSync(
      'openssl',
      ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, ...subject],
      {
        stdio: 'ignore',
      },
    );
    const port = await freePort();
    const connection = { host: 'localhost', port, tls: { ca: readFileSync(cert) } };
    const files = ['--tls-cert-file', cert, '--tls-key-file', key, '--tls-ca-cert-file', cert];
    await serve(connection, '--port', '0', '--tls-port', String(port), ...files, '--tls-auth-clients', 'no');
    const client = open(connection);
    await client.ask(job);
    const { counts, address } = await client.status();
    expect(counts.waiting).toBe(1);
    expect(address).toBe(`localhost:${port}`);
  });
});

describe('a server that sentinels know', () => {
  it('is found by its name', async () => {
    const [port, sentinel] = [await freePort(), await freePort()];
    await serve({ host: '127.0.0.1', port }, '--port', String(port));
    const file = join(folder, 'sentinel.conf');
    execFileSync('sh', [
      '-c',
      `printf 'port ${sentinel}\\nsentinel monitor main 127.0.0.1 ${port} 1\\n' > ${file}`,
    ]);
    await serve({ host: '127.0.0.1', port: sentinel }, file, '--sentinel');
    const client = open({ sentinels: [{ host: '127.0.0.1', port: sentinel }], name: 'main' });
    await client.ask(job);
    expect((await client.status()).counts.waiting).toBe(1);
  });
});

describe('a cluster', () => {
  it('wants the prefix in braces, and says with which setting', async () => {
    const port = await freePort();
    const connection = { host: '127.0.0.1', port };
    await serve(connection, '--port', String(port), '--cluster-enabled', 'yes');
    const admin = new Redis(connection);
    ended.push(() => admin.disconnect());
    await admin.call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383');
    await until(async () => String(await admin.call('CLUSTER', 'INFO')).includes('cluster_state:ok'));
    await expect(open(connection).ask(job)).rejects.toThrow(
      `Redis at 127.0.0.1:${port} is a cluster, where the keys of a queue must lie in one slot: ` +
        'put the prefix in braces, such as `VISIONZIP_PREFIX={visionzip}`',
    );
    const client = open(connection, '{visionzip}');
    await client.ask(job);
    expect((await client.status()).counts.waiting).toBe(1);
  });

  it('that is none, and one that is down, are told', async () => {
    const ports = [await freePort(), await freePort()];
    const ask = (port: number) => open({ cluster: [{ host: '127.0.0.1', port }] }, '{visionzip}').ask(job);
    await serve({ host: '127.0.0.1', port: ports[0] }, '--port', String(ports[0]));
    await expect(ask(ports[0]!)).rejects.toThrow(
      `cannot reach Redis at the cluster 127.0.0.1:${ports[0]}: it is no cluster (`,
    );
    const config = ['--cluster-enabled', 'yes', '--cluster-config-file', 'down.conf'];
    await serve({ host: '127.0.0.1', port: ports[1] }, '--port', String(ports[1]), ...config);
    await expect(ask(ports[1]!)).rejects.toThrow('the cluster is down: not all of its slots are served');
  });

  it('of several nodes is told apart', async () => {
    const ports = [await freePort(), await freePort()];
    const admins: Redis[] = [];
    for (const [i, port] of ports.entries()) {
      const config = ['--cluster-enabled', 'yes', '--cluster-config-file', `nodes-${i}.conf`];
      await serve({ host: '127.0.0.1', port }, '--port', String(port), ...config);
      const admin = new Redis({ host: '127.0.0.1', port });
      ended.push(() => admin.disconnect());
      admins.push(admin);
      await admin.call('CLUSTER', 'ADDSLOTSRANGE', ...(i === 0 ? ['0', '8191'] : ['8192', '16383']));
    }
    await admins[0]!.call('CLUSTER', 'MEET', '127.0.0.1', String(ports[1]));
    for (const admin of admins) {
      await until(async () => String(await admin.call('CLUSTER', 'INFO')).includes('cluster_known_nodes:2'));
      await until(async () => String(await admin.call('CLUSTER', 'INFO')).includes('cluster_state:ok'));
    }
    const slot = Number(await admins[0]!.call('CLUSTER', 'KEYSLOT', '{visionzip}'));
    const port = ports[slot < 8192 ? 1 : 0]!;
    await expect(open({ host: '127.0.0.1', port }, '{visionzip}').ask(job)).rejects.toThrow(
      `Redis at 127.0.0.1:${port} is one of several nodes of a cluster`,
    );
  });
});
