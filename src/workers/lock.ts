import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { link, readFile, rename, unlink, writeFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';

const pollMs = 20;
/** Ever made here. A lock of this process's number that is none of them was left by another: in containers all are 1. */
const claims = new Set<string>();

/**
 * Runs `work` while this process alone holds the lock file. The lock of a process that died is taken over; one
 * that is held is waited for.
 *
 * @throws Error after `waitMs`.
 */
export async function withLock<T>(file: string, waitMs: number, work: () => Promise<T>): Promise<T> {
  const claim = `${process.pid} ${randomUUID()}`;
  claims.add(claim);
  await take(file, claim, waitMs);
  try {
    return await work();
  } finally {
    await unlink(file);
  }
}

async function take(file: string, claim: string, waitMs: number): Promise<void> {
  const own = `${file}.${claim.replace(' ', '.')}`;
  await writeFile(own, claim);
  try {
    for (const end = Date.now() + waitMs; !(await isTaken(own, file)); await pause(pollMs)) {
      const holder = await contentOf(file);
      if (holder !== null && !isHeld(holder) && (await takeOver(file, holder, own))) return;
      if (Date.now() > end) throw new Error(`the lock ${file} is still held by process ${holder}`);
    }
  } finally {
    await unlink(own);
  }
}

function isHeld(claim: string): boolean {
  const pid = Number.parseInt(claim, 10);
  return pid === process.pid ? claims.has(claim) : isAlive(pid);
}

/** Whether a process of this number runs on this machine. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  return !isZombie(pid);
}

/** It has ended, but its parent has not asked how: in a container without an init process it stays listed. */
function isZombie(pid: number): boolean {
  try {
    return /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false; // It has just gone, or this system has no /proc.
  }
}

/** A hard link appears with its content, and only where nothing is. */
async function isTaken(own: string, file: string): Promise<boolean> {
  return link(own, file).then(() => true, unless('EEXIST', false));
}

/**
 * Puts this claim into the place of a dead process's, while holding a second lock: so nobody replaces or removes a claim
 * that is not dead any more. A process that died while it did so is replaced in the same way.
 *
 * @returns false where another was faster.
 */
async function takeOver(file: string, dead: string, own: string): Promise<boolean> {
  const second = `${file}.over`;
  if (!(await isTaken(own, second))) {
    const holder = await contentOf(second);
    if (holder === null || isHeld(holder) || !(await takeOver(second, holder, own))) return false;
  }
  try {
    if ((await contentOf(file)) !== dead) return false;
    const fresh = `${own}.fresh`;
    await link(own, fresh);
    await rename(fresh, file);
    return true;
  } finally {
    await unlink(second);
  }
}

async function contentOf(file: string): Promise<string | null> {
  return readFile(file, 'utf8').catch(unless('ENOENT', null));
}

function unless<T>(code: string, value: T): (error: NodeJS.ErrnoException) => T {
  return (error) => {
    if (error.code !== code) throw error;
    return value;
  };
}
