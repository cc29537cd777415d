import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis, type RedisOptions } from 'ioredis';
import { until } from './script.js';

/** Of the TLS servers here, and of whoever shows himself to them. */
export interface Certificate {
  readonly keyFile: string;
  readonly certFile: string;
}

/** Redis servers in a folder of their own, until `end`. */
export class Servers {
  readonly dir = mkdtempSync(join(tmpdir(), 'visionzip-'));
  readonly #ended: (() => void)[] = [];

  /** Starts a server; resolves once it answers. */
  async start(connection: RedisOptions, ...args: string[]): Promise<ChildProcess> {
    const options = ['--dir', this.dir, '--save', '', '--maxmemory-policy', 'noeviction'];
    const server = spawn('redis-server', [...(args.includes('--sentinel') ? [] : options), ...args], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const lines: string[] = [];
    server.stdout.on('data', (data: Buffer) => lines.push(data.toString()));
    const exited = once(server, 'exit').then(() => Promise.reject(new Error(lines.join(''))));
    this.#ended.push(() => server.kill('SIGKILL'));
    const redis = this.open({ ...connection, retryStrategy: () => 20, maxRetriesPerRequest: null });
    await Promise.race([redis.ping(), exited]);
    exited.catch(() => {}); // Whoever kills it later knows.
    return server;
  }

  /** A client until the end. */
  open(connection: RedisOptions): Redis {
    const redis = new Redis(connection);
    redis.on('error', () => {});
    this.#ended.push(() => redis.disconnect());
    return redis;
  }

  /** A sentinel that watches a server under the name `main`. */
  async startSentinel(port: number, options: RedisOptions = {}, ...lines: string[]): Promise<number> {
    const sentinel = await freePort();
    const file = join(this.dir, 'sentinel.conf');
    const monitor = `sentinel monitor main 127.0.0.1 ${port} 1`;
    const listen = options.tls ? `port 0\ntls-port ${sentinel}` : `port ${sentinel}`;
    writeFileSync(file, `${[listen, ...lines, monitor].join('\n')}\n`);
    await this.start({ host: '127.0.0.1', port: sentinel, ...options }, file, '--sentinel');
    return sentinel;
  }

  makeCertificate(): Certificate {
    return makeCertificate(join(this.dir, 'tls'));
  }

  end(): void {
    for (const end of this.#ended.splice(0).reverse()) end();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** One that signed itself, for `localhost` and 127.0.0.1. */
export function makeCertificate(stem: string): Certificate {
  const [keyFile, certFile] = [`${stem}-key.pem`, `${stem}.pem`];
  const names = 'subjectAltName=DNS:localhost,IP:127.0.0.1';
  const subject = ['-subj', '/CN=localhost', '-days', '2', '-addext', names];
  const files = ['-keyout', keyFile, '-out', certFile];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', ...files, ...subject], {
    stdio: 'ignore',
  });
  return { keyFile, certFile };
}

/** A node of a cluster, which knows a master by its slots. */
export interface ClusterNode {
  readonly port: number;
  /** Replaced when the node is started again. */
  server: ChildProcess;
  readonly admin: Redis;
}

export interface TestCluster {
  readonly nodes: readonly ClusterNode[];
  readonly places: { host: string; port: number }[];
  /** The master that holds a key now. */
  masterOf(key: string): Promise<ClusterNode>;
  start(node: ClusterNode): Promise<void>;
}

/** Three masters, and a replica of the one that holds `key`. */
export async function startCluster(
  servers: Servers,
  key: string,
  connection: RedisOptions = {},
  ...args: string[]
): Promise<TestCluster> {
  const launch = (port: number) => {
    const listen = connection.tls ? ['--port', '0', '--tls-cluster', 'yes', '--tls-port'] : ['--port'];
    const dir = join(servers.dir, String(port));
    mkdirSync(dir, { recursive: true });
    const own = ['--dir', dir, '--appendonly', 'yes', '--cluster-node-timeout', '500'];
    const all = ['--cluster-enabled', 'yes', '--cluster-require-full-coverage', 'no', ...own, ...args];
    const place = { host: '127.0.0.1', port, ...connection };
    return servers.start(place, ...listen, String(port), ...all);
  };
  const nodes = await Promise.all(
    Array.from({ length: 4 }, async () => {
      const port = await freePort();
      const admin = { host: '127.0.0.1', port, retryStrategy: () => 20, ...connection };
      return { port, server: await launch(port), admin: servers.open(admin) };
    }),
  );
  const infos = () => Promise.all(nodes.map(({ admin }) => admin.cluster('INFO')));
  const masters = nodes.slice(0, 3);
  for (const [i, { admin, port }] of nodes.entries()) {
    await admin.cluster('SET-CONFIG-EPOCH', i + 1);
    if (i < 3)
      await admin.call(
        'CLUSTER',
        'ADDSLOTSRANGE',
        ...[
          [0, 5460],
          [5461, 10922],
          [10923, 16383],
        ][i]!,
      );
    await nodes[0]!.admin.cluster('MEET', '127.0.0.1', port);
  }
  await until(async () => (await infos()).every((info) => String(info).includes('cluster_known_nodes:4')));
  const slot = Number(await nodes[0]!.admin.cluster('KEYSLOT', key));
  const id = await masters[slot < 5461 ? 0 : slot < 10923 ? 1 : 2]!.admin.cluster('MYID');
  const replica = nodes[3]!.admin;
  await until(() =>
    replica.cluster('REPLICATE', String(id)).then(
      () => true,
      () => false,
    ),
  );
  await until(async () => String(await replica.info('replication')).includes('master_link_status:up'));
  await until(async () => (await infos()).every((info) => String(info).includes('cluster_state:ok')));
  return {
    nodes,
    places: nodes.map(({ port }) => ({ host: '127.0.0.1', port })),
    masterOf: async (wanted) => {
      for (const node of nodes) {
        const holds = await node.admin.exists(wanted).then(
          () => true,
          () => false,
        );
        if (holds) return node;
      }
      throw new Error('no node holds it');
    },
    start: async (node) => {
      node.server = await launch(node.port);
    },
  };
}

/** A port that is free, and so is the one of a cluster's bus, 10,000 above. */
export async function freePort(): Promise<number> {
  for (;;) {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    await new Promise((resolve) => server.close(resolve));
    if (port < 55_000) return port;
  }
}
