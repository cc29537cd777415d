import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, rename, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { dirname, resolve, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import pRetry from 'p-retry';
import { InputError } from '../errors.js';
import type { Family } from './families/family.js';
import { findFamily } from './families/index.js';
import { readJson } from './folder.js';
import { type HubAccess, type HubFile, listRepository, openHubFile } from './hub.js';
import { chooseGraphs, type DtypeWish, NEWLINE_FILE, type PartDtypes, type WantedGraphs } from './layout.js';
import { publishedConfigSchema } from './published-config.js';
import { pullNewline } from './pull-newline.js';

/** What a download is about. */
export interface PullOptions {
  readonly access: HubAccess;
  /** Branch, tag or commit; default main. */
  readonly revision?: string;
  /** Default: the family's mix, as far as the repository has it: see `chooseGraphs`. */
  readonly dtype?: DtypeWish;
  readonly dir: string;
  readonly signal?: AbortSignal;
  /** Bytes that are there, of all. */
  readonly onProgress?: (done: number, total: number, path: string) => void;
}

export interface Pulled {
  readonly dir: string;
  readonly commit: string;
  readonly dtypes: PartDtypes;
  readonly files: number;
  readonly bytes: number;
  /** Bytes that came over the network in this call. */
  readonly fetched: number;
}

const TEXT_FILES = new Set([
  'config.json',
  'generation_config.json',
  'preprocessor_config.json',
  'processor_config.json',
  'video_preprocessor_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'chat_template.jinja',
  'chat_template.json',
  NEWLINE_FILE,
]);
const RETRIES = 6;

/**
 * Downloads what the worker needs of a published model into a folder. What is there already is checked against its
 * digest and stays; what broke off goes on where it ended. Throws an InputError for a repository that is not there,
 * not readable, or no such model.
 */
export async function pullModel(options: PullOptions): Promise<Pulled> {
  const { access, dir, revision = 'main', signal, onProgress } = options;
  const { commit, files } = await listRepository(access, revision, signal);
  await mkdir(dir, { recursive: true });
  const { family, fetched: already } = await pullFamily(access, commit, files, dir, signal);
  const { dtypes, wanted } = chooseFiles(access.id, files, { wish: options.dtype, mix: family.mix });
  const total = sum(wanted.map(({ bytes }) => bytes));
  await requireSpace(dir, wanted);
  let done = 0;
  let fetched = already;
  for (const file of wanted) {
    const start = done;
    fetched += await pullFile(access, commit, file, dir, signal, (bytes) =>
      onProgress?.(start + bytes, total, file.path),
    );
    done += file.bytes;
    onProgress?.(done, total, file.path);
  }
  const lacksNewline = family.newline !== 'none' && !files.some(({ path }) => path === NEWLINE_FILE);
  if (lacksNewline) fetched += (await pullNewline(access, commit, files, dir, signal)) ?? 0;
  return { dir, commit, dtypes, files: wanted.length, bytes: total, fetched };
}

/** Reads config.json before anything large: a model that cannot be used is refused here. */
async function pullFamily(
  access: HubAccess,
  commit: string,
  files: readonly HubFile[],
  dir: string,
  signal: AbortSignal | undefined,
): Promise<{ family: Family; fetched: number }> {
  const config = files.find(({ path }) => path === 'config.json');
  if (!config) throw new InputError(`${access.id} must hold config.json, which says what model it is`);
  const fetched = await pullFile(access, commit, config, dir, signal, () => {});
  const { model_type } = await readJson(dir, 'config.json', publishedConfigSchema);
  return { family: findFamily(model_type), fetched };
}

function chooseFiles(id: string, files: readonly HubFile[], wanted: WantedGraphs) {
  const paths = files.map(({ path }) => path);
  const graphs = chooseGraphs(paths, wanted, id);
  const needed = new Set([...paths.filter((path) => TEXT_FILES.has(path)), ...graphs.files]);
  return { dtypes: graphs.dtypes, wanted: files.filter(({ path }) => needed.has(path)) };
}

/** One file, whole and with the right digest; returns the bytes that were fetched. */
async function pullFile(
  access: HubAccess,
  commit: string,
  file: HubFile,
  dir: string,
  signal: AbortSignal | undefined,
  onBytes: (bytes: number) => void,
): Promise<number> {
  const path = resolveInside(dir, file.path);
  if ((await sizeOf(path)) === file.bytes && (await digestOf(path, file)) === file.digest.hex) return 0;
  const part = partOf(path, file);
  await mkdir(dirname(path), { recursive: true });
  const fetched = await fetchRest(access, commit, file, part, signal, onBytes);
  const digest = await digestOf(part, file);
  if (digest !== file.digest.hex) {
    await rm(part);
    throw new Error(
      `${file.path} of ${access.id} arrived with the ${file.digest.kind} digest ${digest}, ` +
        `expected ${file.digest.hex}; it was deleted, pull again`,
    );
  }
  await rename(part, path);
  return fetched;
}

/** Goes on with a file that broke off, a few times; returns the bytes that were fetched. */
async function fetchRest(
  access: HubAccess,
  commit: string,
  file: HubFile,
  part: string,
  signal: AbortSignal | undefined,
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

async function requireSpace(dir: string, files: readonly HubFile[]): Promise<void> {
  const there = await Promise.all(
    files.map(
      async (file) =>
        (await sizeOf(resolveInside(dir, file.path))) ??
        (await sizeOf(partOf(resolveInside(dir, file.path), file))) ??
        0,
    ),
  );
  const missing = sum(files.map(({ bytes }) => bytes)) - sum(there);
  const { bavail, bsize } = await statfs(dir);
  if (bavail * bsize < missing) {
    throw new InputError(
      `${dir} needs ${mib(missing)} MiB for the download, ${mib(bavail * bsize)} MiB are free`,
    );
  }
}

/** A full disk, a folder that may not be written to. */
function isDisk(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT', 'EACCES', 'EROFS', 'EIO'].includes((error as NodeJS.ErrnoException).code ?? '');
}

function mib(bytes: number): number {
  return Math.ceil(bytes / 2 ** 20);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
