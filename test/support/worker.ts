import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { QueueClient, type RedisConnection } from '../../queues/index.js';
import { readSettings, type Settings } from '../../src/settings.js';
import { type AskWorker, startWorker } from '../../src/workers/worker.js';
import { freshQueue } from './redis.js';
import { type Reply, scriptedChild, writeScript } from './script.js';

/** Beside a browser the event loop of a test may stand still for longer than the lock of a job that is to be given up soon. */
export const longLock = { lockMs: 30_000 } as const;

/** A queue and a store of its own with a client, a folder of "videos", and workers whose model process is scripted. */
export class Bench {
  readonly dir = realpathSync(mkdtempSync(join(tmpdir(), 'visionzip-bench-')));
  readonly settings: Settings;
  readonly client: QueueClient;
  /** What the workers logged. */
  readonly log: Record<string, unknown>[] = [];
  readonly #workers: AskWorker[] = [];

  constructor(home: string, connection: RedisConnection, overrides: Partial<Settings> = {}) {
    const models = join(this.dir, 'models');
    writeModel(join(models, 'nano'));
    this.settings = {
      ...readSettings({}),
      ...{ home, prefix: freshQueue(), queue: freshQueue(), videoDirs: [this.dir], modelDirs: [models] },
      ...{ lockMs: 1_000, stalledCheckMs: 200, backoffMs: 1, abortGraceMs: 200, drainMs: 5_000 },
      ...overrides,
    };
    const { prefix, queue, attempts, backoffMs } = this.settings;
    this.client = new QueueClient({ connection, prefix, queue, attempts, backoffMs });
  }

  /** A "video" with the replies of the model process, run by run. */
  video(name: string, ...replies: Reply[]): string {
    return writeScript(join(this.dir, name), ...replies);
  }

  async worker(overrides: Partial<Settings> = {}): Promise<AskWorker> {
    const log = { write: (line: string) => this.log.push(JSON.parse(line)) };
    const worker = await startWorker({ ...this.settings, ...overrides }, pino({ level: 'debug' }, log), {
      modelEntry: scriptedChild,
    });
    this.#workers.push(worker);
    return worker;
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.close()));
    await this.client.close();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** A model folder that can be described, but not loaded. */
export function writeModel(dir: string): void {
  mkdirSync(dir, { recursive: true });
  const files = { visionTower: 'a', projector: 'b', embedTokens: 'c', decoder: 'd' };
  const tower = { cls: true, selectedLayer: -2, grid: { rows: 14, columns: 14 }, width: 8, keyWidth: 8 };
  const defaults = { frames: 8, compression: { dominant: 54, contextual: 10 } };
  const manifest = {
    ...{ formatVersion: 1, name: 'nano', family: 'llava', dtype: 'fp32', files, tower, defaults },
    ...{ order: 'compress-project', newlineTokens: 'none', contextLength: 2048, frameTimes: true },
  };
  writeFileSync(join(dir, 'visionzip.json'), JSON.stringify(manifest));
  const others = ['config.json', 'generation_config.json', 'preprocessor_config.json', 'tokenizer.json'];
  for (const name of [...others, 'tokenizer_config.json', 'chat_template.jinja', ...Object.values(files)]) {
    writeFileSync(join(dir, name), '{}');
  }
}
