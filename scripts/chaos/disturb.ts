import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type Job, Queue } from 'bullmq';
import { patientOptions, type RedisConnection } from '../../queues/connection.js';
import { startPrivateRedis } from '../../src/workers/private-redis.js';
import type { Random } from '../clips/index.js';
import type { Crew } from './crew.js';
import { prefix, queue } from './options.js';
import type { ProcessRecord } from './processes.js';

export type Victim = 'worker' | 'model' | 'redis';

/** A process that was killed, and the job that it had in hand. */
export interface Loss {
  readonly victim: Exclude<Victim, 'redis'>;
  readonly job: string;
  readonly atMs: number;
}

export interface Scene {
  readonly home: string;
  readonly crew: Crew;
  readonly record: ProcessRecord;
  readonly random: Random;
  readonly hasEnded: (job: string) => boolean;
  /** Whether all jobs have ended. */
  readonly isOver: () => boolean;
  readonly signal: AbortSignal;
}

const pollMs = 20;
/** Longest time that a killed server stays away, in milliseconds. */
const outageMs = 1_000;

/** Kills and freezes what the jobs run on. */
export class Disturber {
  readonly losses: Loss[] = [];
  readonly kills: Record<Victim, number> = { worker: 0, model: 0, redis: 0 };
  freezes = 0;
  /** Whether it looks for a worker that has a job in hand. */
  isHunting = false;
  readonly #scene: Scene;
  readonly #queue: Queue;

  constructor(scene: Scene, connection: RedisConnection) {
    this.#scene = scene;
    this.#queue = new Queue(queue, { connection: patientOptions(connection), prefix });
    this.#queue.on('error', () => {}); // Redis is killed: it connects again by itself.
  }

  async kill(victim: Victim): Promise<void> {
    if (victim === 'redis') await this.#killRedis();
    else await this.#killBusy(victim);
  }

  /**
   * Stops a worker that has a job in hand for longer than its lock, until another one has ended the job: so what it does
   * with the job when it goes on comes second.
   */
  async freeze(): Promise<void> {
    const { hasEnded, signal } = this.#scene;
    const busy = await this.#busyWorker();
    if (!busy) return;
    process.kill(busy.pid, 'SIGSTOP');
    try {
      while (!busy.jobs.every(({ id }) => hasEnded(id!))) await pause(pollMs, null, { signal });
    } finally {
      process.kill(busy.pid, 'SIGCONT');
    }
    this.freezes++;
  }

  async close(): Promise<void> {
    await this.#queue.close();
  }

  async #killBusy(victim: Loss['victim']): Promise<void> {
    const { crew, record } = this.#scene;
    for (;;) {
      const busy = await this.#busyWorker();
      if (!busy) return;
      const started = await record.look(busy.pid);
      const model = started.find(({ command }) => command.includes('model-child.js'));
      if (!model) continue; // It has just begun.
      const atMs = Date.now();
      if (victim === 'worker') crew.kill(busy.pid);
      else process.kill(model.pid, 'SIGKILL');
      this.kills[victim]++;
      this.losses.push(...busy.jobs.map((job) => ({ victim, job: job.id!, atMs })));
      return;
    }
  }

  async #killRedis(): Promise<void> {
    const { home, random, signal } = this.#scene;
    const pid = Number(readFileSync(join(home, 'redis/pid'), 'utf8'));
    process.kill(pid, 'SIGKILL');
    this.kills.redis++;
    await pause(random.between(0, outageMs), null, { signal });
    await startPrivateRedis(home); // Unless a worker that starts was faster.
  }

  /** One of the workers that have jobs in hand; null once there are no more jobs. */
  async #busyWorker(): Promise<{ pid: number; jobs: Job[] } | null> {
    const { crew, random, isOver, signal } = this.#scene;
    for (this.isHunting = true; !isOver(); await pause(pollMs, null, { signal })) {
      const active = await this.#queue.getActive();
      const busy = crew.pids
        .map((pid) => ({ pid, jobs: active.filter((job) => job?.processedBy?.endsWith(`-${pid}`)) }))
        .filter(({ jobs }) => jobs.length > 0);
      if (busy.length === 0) continue;
      this.isHunting = false;
      return random.pick(busy);
    }
    this.isHunting = false;
    return null;
  }
}
