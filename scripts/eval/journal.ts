import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import type { ClipResult } from './results.js';

/** The results so far, in a file of JSON lines that outlives a killed run. */
export class Journal {
  readonly #results = new Map<string, ClipResult>();

  constructor(readonly file: string) {
    if (!existsSync(file)) return;
    for (const line of readFileSync(file, 'utf8').split('\n')) this.#merge(parse(line));
  }

  has(clip: string, setting: string): boolean {
    return this.#results.get(clip)?.answered[setting] !== undefined;
  }

  get(clip: string): ClipResult {
    return this.#results.get(clip)!;
  }

  add(result: ClipResult): void {
    // The line break before it closes a line that a kill cut short.
    appendFileSync(this.file, `\n${JSON.stringify(result)}\n`);
    this.#merge(result);
  }

  /** A clip may come more than once, with other settings. */
  #merge(result: ClipResult | null): void {
    if (!result) return;
    const answered = { ...this.#results.get(result.clip)?.answered, ...result.answered };
    this.#results.set(result.clip, { ...result, answered });
  }
}

function parse(line: string): ClipResult | null {
  try {
    return JSON.parse(line) as ClipResult;
  } catch {
    return null;
  }
}
