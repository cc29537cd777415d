import type { Disturber, Loss } from './disturb.js';
import type { Journal } from './journal.js';
import { attempts, backoffMs, type ChaosOptions, settings } from './options.js';
import type { Ended } from './produce.js';

/** From a kill of the process that had a job in hand until that job was active again or had ended, in milliseconds. */
export interface Recovery {
  readonly count: number;
  readonly medianMs: number | null;
  readonly p95Ms: number | null;
}

export interface ChaosReport extends ChaosOptions {
  readonly settings: Readonly<Record<string, string | number>>;
  readonly documents: { readonly completed: number; readonly failed: number; readonly cancelled: number };
  readonly killed: Disturber['kills'];
  readonly frozen: number;
  readonly recovery: { readonly all: Recovery; readonly worker: Recovery; readonly model: Recovery };
  readonly seconds: number;
  readonly jobsPerSecond: number;
  readonly violations: readonly string[];
}

interface Run {
  readonly ended: readonly Ended[];
  readonly disturber: Disturber;
  readonly journal: Journal;
  readonly seconds: number;
  readonly violations: readonly string[];
}

export function reportOf(
  options: ChaosOptions,
  { ended, disturber, journal, seconds, violations }: Run,
): ChaosReport {
  const count = (status: string) => ended.filter(({ document }) => document?.status === status).length;
  const { losses, kills: killed, freezes: frozen } = disturber;
  const recovery = (victims: readonly Loss[]) => recoveryOf(victims, journal);
  return {
    ...options,
    settings: { ...settings, attempts, backoffMs },
    documents: { completed: count('completed'), failed: count('failed'), cancelled: count('cancelled') },
    killed,
    frozen,
    recovery: {
      all: recovery(losses),
      worker: recovery(losses.filter(({ victim }) => victim === 'worker')),
      model: recovery(losses.filter(({ victim }) => victim === 'model')),
    },
    seconds,
    jobsPerSecond: ended.length / seconds,
    violations,
  };
}

/** A job that ended in the very moment before the kill has nothing to recover from, and does not count. */
function recoveryOf(losses: readonly Loss[], journal: Journal): Recovery {
  const times = losses
    .flatMap(({ job, atMs }) => {
      const back = journal.back(job, atMs);
      return back === null ? [] : [back - atMs];
    })
    .sort((a, b) => a - b);
  return { count: times.length, medianMs: quantile(times, 0.5), p95Ms: quantile(times, 0.95) };
}

/** Of sorted values, the smallest that so great a share of them does not exceed; null without values. */
function quantile(sorted: readonly number[], share: number): number | null {
  return sorted[Math.ceil(share * sorted.length) - 1] ?? null;
}

export function describeReport(report: ChaosReport): string {
  const { documents, killed, recovery, violations } = report;
  const variables = Object.entries(report.settings).map(([name, value]) => `${name}=${value}`);
  const told = ({ count, medianMs, p95Ms }: Recovery) =>
    count === 0 ? 'none' : `median ${medianMs} ms, p95 ${p95Ms} ms (${count} jobs)`;
  return [
    `jobs        ${report.jobs}: ${documents.completed} completed, ${documents.failed} failed, ${documents.cancelled} cancelled`,
    `killed      ${killed.worker} workers, ${killed.model} model processes, ${killed.redis} Redis; ${report.frozen} worker frozen`,
    `recovery    ${told(recovery.all)}`,
    `  worker    ${told(recovery.worker)}`,
    `  model     ${told(recovery.model)}`,
    `speed       ${report.jobsPerSecond.toFixed(2)} jobs a second, ${report.seconds.toFixed(1)} s, ${report.workers} workers`,
    `settings    seed ${report.seed}, ${variables.join(' ')}`,
    violations.length === 0 ? 'violations  none' : `violations  ${violations.length}:`,
    ...violations.map((violation) => `  ${violation}`),
  ].join('\n');
}
