import { Gauge, Registry } from 'prom-client';
import { describeProcess } from '../../workers/metrics.js';
import type { Overview } from '../api/schemas.js';

/** What Prometheus is told of the queue: how it stands at that moment. What workers did they tell themselves. */
export class QueueMetrics {
  readonly #readOverview: () => Promise<Overview>;
  readonly #process = new Registry();

  /** @param readOverview fails where Redis does not answer. */
  constructor(readOverview: () => Promise<Overview>) {
    this.#readOverview = readOverview;
    describeProcess(this.#process);
  }

  get contentType(): string {
    return this.#process.contentType;
  }

  /** The exposition, of now. While Redis is away only that is told of it. */
  async read(): Promise<string> {
    const registry = new Registry();
    const overview = await this.#readOverview().catch(() => null);
    const isUp = addGauge(registry, 'visionzip_redis_up', '1 while Redis answers the dashboard, else 0.');
    isUp.set(overview === null ? 0 : 1);
    if (overview !== null) describeQueue(registry, overview);
    return `${await this.#process.metrics()}${await registry.metrics()}`;
  }
}

function describeQueue(registry: Registry, { counts, secondsOfWork, workers, redis }: Overview): void {
  const jobs = addGauge(registry, 'visionzip_queue_jobs', 'Jobs in the queue by state.', ['state']);
  for (const [state, count] of Object.entries(counts)) jobs.set({ state }, count);

  const work = 'How long the workers take for the jobs that wait; missing while nobody knows.';
  if (secondsOfWork !== null) addGauge(registry, 'visionzip_queue_work_seconds', work).set(secondsOfWork);
  const listening = 'Workers that listen to the queue; missing where the server does not say.';
  if (workers !== null) addGauge(registry, 'visionzip_workers', listening).set(workers.length);

  const used = 'Memory that Redis uses.';
  addGauge(registry, 'visionzip_redis_memory_used_bytes', used).set(redis.usedMemoryBytes);
  const limit = 'Memory that Redis may use; 0 where it has no limit.';
  addGauge(registry, 'visionzip_redis_memory_limit_bytes', limit).set(redis.maxMemoryBytes);
}

function addGauge(registry: Registry, name: string, help: string, labelNames: string[] = []): Gauge {
  return new Gauge({ name, help, labelNames, registers: [registry] });
}
