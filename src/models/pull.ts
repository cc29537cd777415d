import { mkdir } from 'node:fs/promises';
import { InputError } from '../errors.js';
import type { Family } from './families/family.js';
import { readJson, readModelFolder, readNativePreprocessor, readPreprocessor } from './folder.js';
import { type HubAccess, type HubFile, listRepository } from './hub.js';
import { type DtypeWish, NEWLINE_FILE } from './layout.js';
import { contextLength, type PublishedConfig, publishedConfigSchema } from './published-config.js';
import { type PullSource, pullFile, requireSpace } from './pull-file.js';
import { pullNewline } from './pull-newline.js';
import { type PullPlan, planPull } from './pull-plan.js';

/** What a download is about. */
export interface PullOptions {
  readonly access: HubAccess;
  /** Branch, tag or commit; default main. */
  readonly revision?: string;
  /** Default: the family's mix, as far as the repository has it: see `chooseGraphs`. */
  readonly dtype?: DtypeWish;
  readonly dir: string;
  readonly signal?: AbortSignal;
  /** Ends before the weights; default false. */
  readonly dryRun?: boolean;
  /** What the download will be, once it is sure that the model can be used, and before its weights. */
  readonly onPlan?: (plan: PullPlan) => void;
  /** Bytes that are there, of all. */
  readonly onProgress?: (done: number, total: number, path: string) => void;
}

export interface Pulled extends PullPlan {
  readonly dir: string;
  /** Bytes that came over the network in this call. */
  readonly fetched: number;
}

/**
 * Downloads what the worker needs of a published model into a folder, the weights last: what shows that the model cannot be
 * used is found before them. What is there already is checked against its digest and stays; what broke off goes on where it
 * ended. Throws an InputError for a repository that is not there, not readable, or no such model.
 */
export async function pullModel(options: PullOptions): Promise<Pulled> {
  const { access, dir, revision = 'main', signal } = options;
  const repository = await listRepository(access, revision, signal);
  const { commit, files } = repository;
  await mkdir(dir, { recursive: true });
  const source: PullSource = { access, commit, dir, ...(signal && { signal }) };
  const { config, fetched: already } = await pullConfig(source, files);
  const { plan, family, small, weights } = planPull(access.id, repository, config, options.dtype);
  await requireSpace(dir, small);
  const progress = new Progress(plan.bytes, options.onProgress);
  let fetched = already + (await pullAll(source, small, progress));
  await requireUsable(dir, config, family);
  options.onPlan?.(plan);
  if (options.dryRun) return { ...plan, dir, fetched };
  await requireSpace(dir, weights);
  fetched += await pullAll(source, weights, progress);
  const lacksNewline = family.newline !== 'none' && !files.some(({ path }) => path === NEWLINE_FILE);
  if (lacksNewline) fetched += (await pullNewline(access, commit, files, dir, signal)) ?? 0;
  return { ...plan, dir, fetched };
}

/** config.json, which says what model it is. */
async function pullConfig(
  source: PullSource,
  files: readonly HubFile[],
): Promise<{ config: PublishedConfig; fetched: number }> {
  const file = files.find(({ path }) => path === 'config.json');
  if (!file) throw new InputError(`${source.access.id} must hold config.json, which says what model it is`);
  const fetched = await pullFile(source, file);
  return { config: await readJson(source.dir, 'config.json', publishedConfigSchema), fetched };
}

/** What a worker reads beside the graphs, and would refuse only once the weights are there. */
async function requireUsable(dir: string, config: PublishedConfig, { native }: Family): Promise<void> {
  contextLength(config);
  await readModelFolder(dir);
  await (native ? readNativePreprocessor(dir, native) : readPreprocessor(dir));
}

async function pullAll(source: PullSource, files: readonly HubFile[], progress: Progress): Promise<number> {
  let fetched = 0;
  for (const file of files) {
    fetched += await pullFile(source, file, (bytes) => progress.tell(file.path, bytes));
    progress.end(file);
  }
  return fetched;
}

/** How far a download of several files is. */
class Progress {
  #done = 0;

  constructor(
    readonly total: number,
    readonly onProgress: PullOptions['onProgress'],
  ) {}

  tell(path: string, bytes: number): void {
    this.onProgress?.(this.#done + bytes, this.total, path);
  }

  end({ path, bytes }: HubFile): void {
    this.#done += bytes;
    this.tell(path, 0);
  }
}
