import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { vi } from 'vitest';

/** The model process without a model; see there for what a reply may be. */
export const scriptedChild = fileURLToPath(new URL('../fixtures/scripted-child.mjs', import.meta.url));

export type Reply = Readonly<Record<string, unknown>>;

export interface Call {
  readonly pid: number;
  readonly questions: readonly string[];
  readonly modelDir: string;
  /** A process that a reply `hang` started. */
  readonly spawned?: number;
}

/** Writes a "video" that tells the scripted model process what to do, run by run. */
export function writeScript(path: string, ...replies: Reply[]): string {
  writeFileSync(path, JSON.stringify(replies));
  return path;
}

/** The runs that the scripted model process has begun with this "video". */
export function callsOf(path: string): Call[] {
  try {
    const lines = readFileSync(`${path}.calls`, 'utf8').split('\n').slice(0, -1); // Whole lines.
    return lines.map((line) => JSON.parse(line) as Call);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** Waits for what no event tells. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  await vi.waitUntil(condition, { timeout: 90_000 });
}
