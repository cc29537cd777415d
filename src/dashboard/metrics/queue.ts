import { Gauge, Registry } from 'prom-client';
import type { QueueStatus } from '../../../queues/client.js';
import { describeProcess } from '../../workers/metrics.js';

export interface QueueMetricsParts {
  /** @throws RedisUnavailableError */
  readStatus(): Promise<QueueStatus>;
  /** How long the workers take for what waits; null where nobody knows. */
  secondsOfWork(): number | null;
}

/** What Prometheus is told of the queue: how it stands at that moment. What workers did they tell themselves. */
export class QueueMetrics {
  readonly #parts: QueueMetricsParts;
  readonly #process = new Registry();

  constructor(parts: QueueMetricsParts) {
    this.#parts = parts;
    describeProcess(this.#process);
  }

  get contentType(): string {
    return this.#process.contentType;
  }

  /** The exposition, of now. While Redis is away only that is told of it. */
  async read(): Promise<string> {
    const registry = new Registry();
    const status = await this.#parts.readStatus().catch(() => null);
    const isUp = addGauge(registry, 'visionzip_redis_up', '1 while Redis answers the dashboard, else 0.');
    isUp.set(status === null ? 0 : 1);
    if (status !== null) describeQueue(registry, status, this.#parts.secondsOfWork());
    return `${await this.#process.metrics()}${await registry.metrics()}`;
  }
}

function describeQueue(registry: Registry, status: QueueStatus, secondsOfWork: number | null): void {
  const { counts, workers, redis } = status;
  const { waiting = 0, prioritized = 0, paused = 0, ...others } = counts;
  const jobs = addGauge(registry, 'visionzip_queue_jobs', 'Jobs in the queue by state.', ['state']);
  jobs.set({ state: 'waiting' }, waiting + prioritized + paused);
  for (const state of ['delayed', 'active', 'completed', 'failed']) jobs.set({ state }, others[state] ?? 0);

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
