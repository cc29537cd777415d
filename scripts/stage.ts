import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { RedisConnection } from '../queues/connection.js';
import { QueueClient } from '../queues/index.js';
import { socketOf, startPrivateRedis, stopPrivateRedis } from '../src/workers/private-redis.js';

const main = fileURLToPath(new URL('../src/cli/main.js', import.meta.url));
/** How much of a command's error output is kept. */
const errorTail = 4_000;

/** A command of the command line under way. */
export interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }>;
}

/** A private Redis, workers and commands in a folder of their own, all of them real processes. */
export class Stage {
  readonly root = realpathSync(mkdtempSync(join(tmpdir(), 'visionzip-stage-')));
  readonly home = join(this.root, 'h');
  readonly videos = join(this.root, 'videos');
  readonly connection: RedisConnection = { path: socketOf(this.home) };
  readonly queue = 'ask';
  readonly prefix = 'stage';
  readonly client = new QueueClient({ connection: this.connection, prefix: this.prefix, queue: this.queue });
  readonly #workers = new Set<Running>();
  readonly #commands = new Set<Running>();

  async open(): Promise<void> {
    for (const folder of [this.home, this.videos]) mkdirSync(folder);
    await startPrivateRedis(this.home);
  }

  /** Stops all and removes the folder. */
  async close(): Promise<void> {
    for (const { child } of this.#commands) child.kill('SIGKILL');
    await this.stopWorkers();
    await this.client.close();
    await stopPrivateRedis(this.home);
    rmSync(this.root, { recursive: true, force: true });
  }

  get workers(): number[] {
    return [...this.#workers].flatMap(({ child }) => child.pid ?? []);
  }

  /** Starts workers and waits until they listen. @param script what a worker process runs; default `visionzip worker` */
  async startWorkers(count: number, script?: string): Promise<void> {
    for (let i = 0; i < count; i++) this.#workers.add(this.#start(script ? [script] : [main, 'worker']));
    while (((await this.client.status()).workers?.length ?? 0) < this.#workers.size) {
      const dead = [...this.#workers].find(({ child }) => child.exitCode !== null);
      if (dead) throw new Error(`a worker did not start: ${(await dead.ended).stderr}`);
      await pause(50);
    }
  }

  async stopWorkers(): Promise<void> {
    const stopped = [...this.#workers];
    for (const { child } of stopped) child.kill('SIGTERM');
    await Promise.all(stopped.map(({ ended }) => ended));
    this.#workers.clear();
  }

  /** Starts a command such as `batch`. */
  command(args: readonly string[]): Running {
    const running = this.#start([main, ...args]);
    this.#commands.add(running);
    running.ended.then(() => this.#commands.delete(running));
    return running;
  }

  /** One core for each process: as many workers as cores take turns with nobody. */
  #start(args: readonly string[]): Running {
    const settings = {
      ...{ REDIS_URL: '', VISIONZIP_HOME: this.home, VISIONZIP_VIDEO_DIRS: this.videos },
      ...{ VISIONZIP_PREFIX: this.prefix, VISIONZIP_QUEUE: this.queue, VISIONZIP_LOG_LEVEL: 'error' },
      ...{ VISIONZIP_THREADS: '1', VISIONZIP_CONCURRENCY: '1', NO_COLOR: '1' },
    };
    const variables = Object.entries(settings).map(([name, value]) => `${name}=${value}`);
    const child = spawn('env', [...variables, process.execPath, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      stderr = (stderr + chunk.toString()).slice(-errorTail);
    });
    const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, stdout, stderr }));
    return { child, ended };
  }
}

/** What a command printed with `--json`. Throws where it did not end with exit code 0. */
export async function documentOf({ ended }: Running): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await ended;
  if (code !== 0) throw new Error(`a command ended with exit code ${code}: ${stderr.trim()}`);
  return JSON.parse(stdout) as Record<string, unknown>;
}
