import { formatMs } from '../../format.js';
import type { timeNames } from './answered-row.js';

/* How numbers and names are written for people. "–" is what is not known. */

/** "61.3 %". */
export function percent(share: number): string {
  return Number.isNaN(share) ? '–' : `${(100 * share).toFixed(1)} %`;
}

/** "+1.2" percentage points, with a true minus sign. */
export function points(difference: number): string {
  if (Number.isNaN(difference)) return '–';
  const rounded = (100 * difference).toFixed(1);
  return rounded.startsWith('-') ? rounded.replace('-', '−') : `+${rounded}`;
}

/** "1,234" or "12.5". */
export function number(value: number): string {
  if (Number.isNaN(value)) return '–';
  return value.toLocaleString('en-US', { maximumFractionDigits: value < 100 ? 1 : 0 });
}

/** "0.4 ms", "812 ms", "1.94 s", "3 min 05 s". */
export function duration(ms: number): string {
  if (Number.isNaN(ms)) return '–';
  if (ms < 9.95) return `${Number(ms.toFixed(1))} ms`;
  return ms >= 999.5 && ms < 9_995 ? `${(ms / 1000).toFixed(2)} s` : formatMs(ms);
}

/** "0.0021", or "below 0.0001". */
export function probability(p: number): string {
  return p < 0.0001 ? 'below 0.0001' : String(Number(p.toPrecision(2)));
}

const stageTitles: Readonly<Record<(typeof timeNames)[number], string>> = {
  queueMs: 'waiting in the queue',
  probeMs: 'probing the video',
  chooseMs: 'choosing frames',
  decodeMs: 'waiting for frames',
  preprocessMs: 'preparing pixels',
  encodeMs: 'vision tower',
  compressMs: 'compressing',
  projectMs: 'projecting',
  prefillMs: 'prefill',
  generateMs: 'decode steps',
  firstTokenMs: 'until the first token',
  totalMs: 'whole job',
};

export function stageTitle(name: string): string {
  return stageTitles[name as keyof typeof stageTitles] ?? name;
}
