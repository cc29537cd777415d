import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { exitCodes } from '../../src/cli/exit.js';
import { prefix, queue, settings } from './options.js';

const main = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));
/** How long a worker that is told to stop may take before it is called a fault, in milliseconds. */
const stopMs = 30_000;
/** How much of a worker's log is kept for the report. */
const logTail = 2_000;

/** Real `visionzip worker` processes, as many as wanted: one that ended is replaced, as an init system does. */
export class Crew {
  /** What workers did that nobody did to them. */
  readonly faults: string[] = [];
  readonly #environment: readonly string[];
  readonly #workers = new Set<ChildProcess>();
  readonly #killed = new Set<ChildProcess>();
  /** Of all workers that ever ran: a process that one left behind holds its end open, and this process would wait for it. */
  readonly #logs: Readable[] = [];
  #stopping = false;

  constructor(home: string, videos: string, temporary: string) {
    const own = Object.entries(settings).map(([name, value]) => `${name}=${value}`);
    this.#environment = [
      ...['REDIS_URL=', `VISIONZIP_HOME=${home}`, `VISIONZIP_VIDEO_DIRS=${videos}`, `TMPDIR=${temporary}`],
      ...[`VISIONZIP_PREFIX=${prefix}`, `VISIONZIP_QUEUE=${queue}`, 'VISIONZIP_LOG_LEVEL=error'],
      ...own,
    ];
  }

  get pids(): number[] {
    return [...this.#workers].flatMap(({ pid }) => pid ?? []);
  }

  start(): void {
    const command = [...this.#environment, process.execPath, main, 'worker'];
    const worker = spawn('env', command, { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#logs.push(worker.stderr);
    let log = '';
    worker.stderr.on('data', (chunk: Buffer) => {
      log = (log + chunk.toString()).slice(-logTail);
    });
    this.#workers.add(worker);
    worker.once('exit', (code, signal) => {
      this.#workers.delete(worker);
      if (this.#stopping) return;
      // Without Redis a worker does not start: that is what it says with this code.
      const isExpected = this.#killed.delete(worker) || code === exitCodes.redis;
      if (!isExpected) this.faults.push(`worker ${worker.pid} ended with ${signal ?? code}: ${log.trim()}`);
      this.start();
    });
  }

  kill(pid: number): void {
    const worker = this.#of(pid);
    if (!worker) return;
    this.#killed.add(worker);
    worker.kill('SIGKILL');
  }

  /** Tells all to stop, and kills those that do not. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(
      [...this.#workers].map(async (worker) => {
        const exited = once(worker, 'exit');
        const killer = setTimeout(() => {
          this.faults.push(`worker ${worker.pid} did not stop within ${stopMs} ms`);
          worker.kill('SIGKILL');
        }, stopMs);
        worker.kill('SIGCONT');
        worker.kill('SIGTERM');
        await exited;
        clearTimeout(killer);
      }),
    );
    for (const log of this.#logs) log.destroy();
  }

  #of(pid: number): ChildProcess | undefined {
    return [...this.#workers].find((worker) => worker.pid === pid);
  }
}
