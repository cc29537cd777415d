import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** What a store takes, and what is in it. */
export interface StoreStatus {
  readonly dir: string;
  readonly limitBytes: number;
  readonly files: number;
  readonly bytes: number;
  /** When the least recently used one was used last; null where there is none. */
  readonly oldest: Date | null;
}

/** When there is too much, so much of the limit stays. */
const KEPT_SHARE = 0.9;
/** What was being written when its process died. */
const STALE_MS = 3_600_000;
/** Below the folder; what else lies there is nobody's business here. */
const NAME = /^([0-9a-f]{2})[\\/]\1[0-9a-f]{62}(\.[0-9a-f]{12}\.part)?$/;
/** So many writes pass before this process looks what others wrote. */
const WRITES_BEFORE_LOOK = 50;

interface StoredFile {
  readonly path: string;
  readonly bytes: number;
  readonly usedMs: number;
  readonly isWhole: boolean;
}

/**
 * Encoded videos as files, named by digests of all that they depend on, in a folder that workers may share. The least recently
 * used give way. `read`, `write` and `drop` never throw: what cannot be read or written is computed again.
 */
export class TokenStore {
  /** Bytes that are there, as far as this process knows, and how often it wrote since it looked. */
  #bytes = 0;
  #writes = WRITES_BEFORE_LOOK;

  constructor(
    readonly dir: string,
    readonly limitBytes: number,
  ) {}

  /** @param name 64 hexadecimal digits. */
  async read(name: string): Promise<Uint8Array | null> {
    const path = this.pathOf(name);
    try {
      const bytes = await readFile(path);
      const now = new Date();
      await utimes(path, now, now).catch(() => {});
      return bytes;
    } catch {
      return null;
    }
  }

  /** Whole or not at all; another process sees it once it is whole. Says whether it is there. */
  async write(name: string, bytes: Uint8Array): Promise<boolean> {
    if (bytes.length > this.limitBytes * KEPT_SHARE) return false;
    const path = this.pathOf(name);
    const part = `${path}.${randomBytes(6).toString('hex')}.part`;
    try {
      await mkdir(join(this.dir, name.slice(0, 2)), { recursive: true });
      await writeFile(part, bytes);
      await rename(part, path);
      this.#bytes += bytes.length;
      if (++this.#writes > WRITES_BEFORE_LOOK || this.#bytes > this.limitBytes) await this.#makeRoom();
      return true;
    } catch {
      await rm(part, { force: true }).catch(() => {});
      return false;
    }
  }

  /** What turned out not to be readable. */
  async drop(name: string): Promise<void> {
    await rm(this.pathOf(name), { force: true }).catch(() => {});
  }

  async status(): Promise<StoreStatus> {
    const { dir, limitBytes } = this;
    const { files, total } = await this.#look();
    const whole = files.filter(({ isWhole }) => isWhole);
    const [first] = whole;
    const oldest = first ? new Date(first.usedMs) : null;
    return { dir, limitBytes, files: whole.length, bytes: total, oldest };
  }

  /** Removes everything; says how many files and bytes that were. */
  async clear(): Promise<{ readonly files: number; readonly bytes: number }> {
    const { files, total } = await this.#look();
    for (const { path } of files) await rm(path, { force: true });
    this.#bytes = 0;
    this.#writes = 0;
    return { files: files.length, bytes: total };
  }

  /** Where it lies, if it does. */
  pathOf(name: string): string {
    return join(this.dir, name.slice(0, 2), name);
  }

  /** Looks what is there, removes what died while it was written, and where it is too much what was not used for longest. */
  async #makeRoom(): Promise<void> {
    const { files, total } = await this.#look();
    let left = total;
    for (const { path, bytes, usedMs, isWhole } of files) {
      const isStale = !isWhole && Date.now() - usedMs > STALE_MS;
      if (!isStale && (total <= this.limitBytes || left <= this.limitBytes * KEPT_SHARE)) continue;
      await rm(path, { force: true });
      left -= bytes;
    }
    this.#bytes = left;
    this.#writes = 0;
  }

  /** All that is there, the least recently used first. */
  async #look(): Promise<{ files: StoredFile[]; total: number }> {
    const names = await readdir(this.dir, { recursive: true }).catch(() => []);
    const files: StoredFile[] = [];
    for (const name of names) {
      const [isOurs, , part] = NAME.exec(name) ?? [];
      if (!isOurs) continue;
      const path = join(this.dir, name);
      const found = await stat(path).catch(() => null);
      if (found?.isFile())
        files.push({ path, bytes: found.size, usedMs: found.mtimeMs, isWhole: part === undefined });
    }
    files.sort((a, b) => a.usedMs - b.usedMs);
    return { files, total: files.reduce((sum, { bytes }) => sum + bytes, 0) };
  }
}
