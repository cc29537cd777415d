import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, rename, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { dirname, resolve, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import pRetry from 'p-retry';
import { InputError } from '../errors.js';
import { type HubAccess, type HubFile, openHubFile } from './hub.js';

/** A repository at one commit, and the folder that its files go to. */
export interface PullSource {
  readonly access: HubAccess;
  readonly commit: string;
  readonly dir: string;
  readonly signal?: AbortSignal;
}

const RETRIES = 6;

/**
 * One file, whole and with the right digest: what is there stays, what broke off goes on where it ended.
 *
 * @param onBytes told how many bytes of it are there.
 * @returns the bytes that were fetched.
 */
export async function pullFile(
  source: PullSource,
  file: HubFile,
  onBytes: (bytes: number) => void = () => {},
): Promise<number> {
  const path = resolveInside(source.dir, file.path);
  if ((await sizeOf(path)) === file.bytes && (await digestOf(path, file)) === file.digest.hex) return 0;
  const part = partOf(path, file);
  await mkdir(dirname(path), { recursive: true });
  const fetched = await fetchRest(source, file, part, onBytes);
  const digest = await digestOf(part, file);
  if (digest !== file.digest.hex) {
    await rm(part);
    throw new Error(
      `${file.path} of ${source.access.id} arrived with the ${file.digest.kind} digest ${digest}, ` +
        `expected ${file.digest.hex}; it was deleted, pull again`,
    );
  }
  await rename(part, path);
  return fetched;
}

/** Goes on with a file that broke off, a few times; returns the bytes that were fetched. */
async function fetchRest(
  { access, commit, signal }: PullSource,
  file: HubFile,
  part: string,
  onBytes: (bytes: number) => void,
): Promise<number> {
  let fetched = 0;
  const attempt = async () => {
    const handle = await open(part, 'a');
    try {
      let have = (await handle.stat()).size;
      const body = await openHubFile(access, commit, file, have, signal);
      // What has arrived is written before more is taken, so that a cut connection loses none of it.
      for await (const chunk of body) {
        signal?.throwIfAborted();
        if (have + chunk.length > file.bytes) {
          await handle.truncate();
          throw new Error(`${file.path} is longer than the ${file.bytes} bytes it should have`);
        }
        await handle.appendFile(chunk);
        fetched += chunk.length;
        have += chunk.length;
        onBytes(have);
      }
      if (have < file.bytes) throw new Error(`${file.path} ended after ${have} of ${file.bytes} bytes`);
    } finally {
      await handle.close();
    }
  };
  if (file.bytes === 0) await writeFile(part, '');
  if (((await sizeOf(part)) ?? 0) >= file.bytes) return fetched;
  await pRetry(attempt, {
    retries: RETRIES,
    minTimeout: 250,
    maxTimeout: 8_000,
    ...(signal && { signal }),
    shouldRetry: ({ error }) => !(error instanceof InputError || isDisk(error)),
  });
  return fetched;
}

async function digestOf(path: string, { bytes, digest }: HubFile): Promise<string> {
  const hash: Hash = createHash(digest.kind === 'git' ? 'sha1' : 'sha256');
  if (digest.kind === 'git') hash.update(`blob ${bytes}\0`);
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

async function sizeOf(path: string): Promise<number | null> {
  return stat(path).then(
    ({ size }) => size,
    () => null,
  );
}

/** The digest in the name keeps what is left of another version apart. */
function partOf(path: string, { digest }: HubFile): string {
  return `${path}.${digest.hex.slice(0, 8)}.part`;
}

/** Names come from the repository: none may lead out of the folder. */
function resolveInside(dir: string, path: string): string {
  const full = resolve(dir, path);
  if (!full.startsWith(resolve(dir) + sep))
    throw new InputError(`the repository names a file outside: ${path}`);
  return full;
}

/** Throws an InputError where the disk cannot hold what of the files is not there yet. */
export async function requireSpace(dir: string, files: readonly HubFile[]): Promise<void> {
  const there = await Promise.all(
    files.map(
      async (file) =>
        (await sizeOf(resolveInside(dir, file.path))) ??
        (await sizeOf(partOf(resolveInside(dir, file.path), file))) ??
        0,
    ),
  );
  const missing = sumBytes(files) - there.reduce((sum, bytes) => sum + bytes, 0);
  const { bavail, bsize } = await statfs(dir);
  if (bavail * bsize < missing) {
    throw new InputError(
      `${dir} needs ${mib(missing)} MiB for the download, ${mib(bavail * bsize)} MiB are free`,
    );
  }
}

export function sumBytes(files: readonly HubFile[]): number {
  return files.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** A full disk, a folder that may not be written to. */
function isDisk(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT', 'EACCES', 'EROFS', 'EIO'].includes((error as NodeJS.ErrnoException).code ?? '');
}

function mib(bytes: number): number {
  return Math.ceil(bytes / 2 ** 20);
}
