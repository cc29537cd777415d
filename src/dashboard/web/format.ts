/** "1,234". */
export function formatCount(count: number): string {
  return Math.round(count).toLocaleString('en-US');
}

/** "812 ms", "1.9 s", "3 min 05 s", "2 h 07 min" or "3 d 4 h". */
export function formatDuration(ms: number): string {
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, '0')} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`;
  const hours = Math.round(minutes / 60);
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** A duration among others that differ from it by `stepMs`, so that each reads differently: "5.532 s". */
export function formatMoment(ms: number, stepMs: number): string {
  if (ms < 999.5 || stepMs >= 1000 || (stepMs >= 100 && ms < 59_950)) return formatDuration(ms);
  const digits = stepMs >= 100 ? 1 : stepMs >= 10 ? 2 : 3;
  return `${(ms / 1000).toFixed(digits)} s`;
}

/** How long ago something was, in its largest unit: "just now", "12 s ago", "3 h ago"; "in 5 min" of what is to come. */
export function formatAgo(at: number, now: number): string {
  const seconds = Math.round(Math.abs(now - at) / 1000);
  if (seconds < 5) return 'just now';
  const [size, unit] = units.find(([least]) => seconds >= least)!;
  const text = `${Math.floor(seconds / size)} ${unit}`;
  return now >= at ? `${text} ago` : `in ${text}`;
}

const units: readonly (readonly [seconds: number, unit: string])[] = [
  [86_400, 'd'],
  [3600, 'h'],
  [60, 'min'],
  [1, 's'],
];

/** In full, in the viewer's zone. */
export function formatDate(at: number): string {
  return new Date(at).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'long' });
}

/** "512 B", "3.4 MiB". */
export function formatBytes(bytes: number): string {
  const names = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = bytes < 1 ? 0 : Math.min(names.length - 1, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** power;
  return `${power === 0 || value >= 99.95 ? Math.round(value) : value.toFixed(1)} ${names[power]}`;
}

/** "79.6 %"; whole where a tenth says nothing. */
export function formatShare(share: number): string {
  const percent = share * 100;
  const isWhole = Math.abs(percent - Math.round(percent)) < 0.05;
  return `${isWhole ? Math.round(percent) : percent.toFixed(1)} %`;
}

/** "4.9 ×", or "19 ×" from ten. */
export function formatTimes(ratio: number): string {
  return `${ratio >= 9.95 ? Math.round(ratio) : ratio.toFixed(1)} ×`;
}

/** "1 job", "3 jobs", "1,200 jobs". */
export function plural(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`;
}

/** Of a path, whichever way its slashes lean. */
export function fileName(path: string): string {
  return path.split(/[/\\]/).at(-1) || path;
}
