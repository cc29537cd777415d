import { memoryLimitShare, type RedisHealth } from '../../../queues/health.js';
import { plural } from '../../format.js';
import type { Health, Overview } from './schemas.js';

type Check = Health['checks'][number];

function check(name: string, level: Check['level'], found: string, advice: string | null = null): Check {
  return { name, level, found, advice };
}

const mib = (bytes: number) => `${(bytes / 2 ** 20).toFixed(bytes < 100 * 2 ** 20 ? 1 : 0)} MiB`;
const percent = (share: number) => `${Math.round(100 * share)} %`;

const describeJobs = (count: number, verb: string) =>
  `${plural(count, 'job')} ${count === 1 ? `${verb}s` : verb}`;

/** Above this share of the limit at which no jobs are taken it is time to do something. */
const memoryWarnShare = 0.75;

export function checkMemory({ usedMemoryBytes, maxMemoryBytes }: RedisHealth): Check {
  const name = "Redis' memory";
  if (maxMemoryBytes === 0) {
    const found = `Redis uses ${mib(usedMemoryBytes)} and has no limit of its own.`;
    return check(name, 'ok', found, 'Set `maxmemory`, so that a full queue cannot take the whole machine.');
  }
  const share = usedMemoryBytes / maxMemoryBytes;
  const found = `Redis uses ${mib(usedMemoryBytes)} of its ${mib(maxMemoryBytes)} (${percent(share)}).`;
  if (share >= memoryLimitShare) {
    return check(
      name,
      'bad',
      found,
      `No jobs are taken from ${percent(memoryLimitShare)} on: raise \`maxmemory\`, or let results expire sooner with VISIONZIP_RETENTION_SECONDS.`,
    );
  }
  if (share < memoryWarnShare * memoryLimitShare) return check(name, 'ok', found);
  return check(
    name,
    'warn',
    found,
    `From ${percent(memoryLimitShare)} on no jobs are taken: raise \`maxmemory\` in time.`,
  );
}

export function checkEviction({ maxMemoryPolicy }: RedisHealth): Check {
  const name = 'Eviction';
  if (maxMemoryPolicy === '')
    return check(name, 'unknown', 'The server does not say what it does when it is full.');
  const found = `The policy is \`${maxMemoryPolicy}\`.`;
  if (maxMemoryPolicy === 'noeviction') return check(name, 'ok', found);
  return check(
    name,
    'bad',
    found,
    'Jobs can vanish when the memory is full: set `maxmemory-policy noeviction`.',
  );
}

/** BullMQ trims its events to some 10,000. */
const usualEvents = 20_000;

export function checkEvents({
  length,
  bytes,
}: {
  readonly length: number;
  readonly bytes: number | null;
}): Check {
  const size = bytes === null ? '' : `, ${mib(bytes)}`;
  const found = `BullMQ's stream holds ${plural(length, 'event')}${size}.`;
  if (length <= usualEvents && (bytes ?? 0) <= 100 * 2 ** 20) return check('Events', 'ok', found);
  return check(
    'Events',
    'warn',
    found,
    'It is longer than BullMQ keeps it: trim it with `queue.trimEvents(10000)`, and see which program adds to it.',
  );
}

export function checkWorkers(workers: Overview['workers'], waiting: number): Check {
  const name = 'Workers';
  if (workers === null) return check(name, 'unknown', 'The server does not say who is connected.');
  if (workers.length === 0) {
    const level = waiting > 0 ? 'bad' : 'warn';
    return check(
      name,
      level,
      `No worker is connected, and ${describeJobs(waiting, 'wait')}.`,
      'Start one: `visionzip worker`.',
    );
  }
  const versions = [...new Set(workers.map(({ version }) => version ?? 'unknown'))];
  const found = `${plural(workers.length, 'worker')} of the version ${versions.join(', ')}.`;
  if (versions.length === 1) return check(name, 'ok', found);
  return check(
    name,
    'warn',
    found,
    'Workers of several versions may answer in different ways: update the older ones.',
  );
}

export function checkSandbox(workers: Overview['workers']): Check {
  const name = 'Sandbox of the decoder';
  const told = (workers ?? []).filter(({ version }) => version !== null);
  if (told.length === 0) return check(name, 'unknown', 'No worker says what is around its decoder.');
  const without = told.filter(({ sandbox }) => sandbox === null).map((worker) => worker.name);
  if (without.length > 0) {
    return check(
      name,
      'bad',
      `None could be built on ${without.join(', ')}, where so no video can be read.`,
      'See what its log says of the sandbox, and docs/failures.md.',
    );
  }
  const kinds = [...new Set(told.map(({ sandbox }) => sandbox))].join('; ');
  return check(name, 'ok', `Decoders run in: ${kinds}.`);
}

/** More than a day of work is worth a word. */
const longQueueSeconds = 24 * 3600;

export function checkQueue({
  counts,
  isPaused,
  secondsOfWork,
}: Pick<Overview, 'counts' | 'secondsOfWork'> & { readonly isPaused: boolean }): Check {
  const waiting = counts.waiting + counts.delayed;
  const found = `${describeJobs(waiting, 'wait')}, ${describeJobs(counts.active, 'run')}.`;
  if (isPaused)
    return check(
      'Queue',
      'warn',
      `The queue is paused. ${found}`,
      'No worker takes a job until it is resumed, below /queues or by `queue.resume()`.',
    );
  if ((secondsOfWork ?? 0) < longQueueSeconds) return check('Queue', 'ok', found);
  const hours = Math.round(secondsOfWork! / 3600);
  return check(
    'Queue',
    'warn',
    `${found} At this rate they take ${hours} hours.`,
    'Start more workers on other machines.',
  );
}

export interface Disk {
  readonly dir: string;
  readonly freeBytes: number;
  /** Null where the store is switched off. */
  readonly limitBytes: number | null;
}

/** @param disk null where the folder is not on this machine */
export function checkDisk(disk: Disk | null): Check {
  const name = 'Disk of the token store';
  if (disk === null)
    return check(name, 'unknown', 'The folder of the token store is not on this machine, or not there yet.');
  const { dir, freeBytes, limitBytes } = disk;
  const found = `${mib(freeBytes)} are free at ${dir}.`;
  if (limitBytes === null || limitBytes === 0) return check(name, 'ok', `${found} Nothing is kept there.`);
  if (freeBytes >= limitBytes / 4) return check(name, 'ok', found);
  const advice = `The store may take up to ${mib(limitBytes)}: free some space, or lower VISIONZIP_STORE_MIB.`;
  return check(name, freeBytes < 2 ** 28 ? 'bad' : 'warn', found, advice);
}

export function checkReuse({ jobs, cached, tokens, prefix }: Overview['reuse']): Check {
  const name = 'Reuse';
  if (jobs === 0) return check(name, 'unknown', 'No job was completed in the last 24 hours.');
  const share = (count: number) => percent(count / jobs);
  return check(
    name,
    'ok',
    `Of ${plural(jobs, 'job')} in 24 hours ${share(cached)} were answered from stored answers, ${share(tokens)} from stored tokens, ${share(prefix)} from a video that was held ready.`,
  );
}

export function checkIndex({ jobs, of, isComplete }: Overview['index']): Check {
  const name = 'Index';
  if (!isComplete)
    return check(
      name,
      'warn',
      `${jobs} of ${of} jobs have been read so far.`,
      'Lists and searches are complete once all are.',
    );
  if (jobs >= of) return check(name, 'ok', `All ${plural(jobs, 'job')} of the queue can be searched.`);
  return check(
    name,
    'warn',
    `The newest ${jobs} of ${of} jobs can be searched.`,
    'Let jobs expire sooner with VISIONZIP_RETENTION_SECONDS.',
  );
}
