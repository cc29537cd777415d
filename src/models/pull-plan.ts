import { InputError } from '../errors.js';
import { estimateMemory, type MemoryEstimate } from './estimate.js';
import type { Family } from './families/family.js';
import { findFamily } from './families/index.js';
import { optionalFiles, textFiles } from './folder.js';
import type { HubFile, Repository } from './hub.js';
import { chooseGraphs, type DtypeWish, NEWLINE_FILE, type PartDtypes, weightsOf } from './layout.js';
import { type License, warnOfLicense } from './license.js';
import type { PublishedConfig } from './published-config.js';
import { sumBytes } from './pull-file.js';

/** What a download will be, known before a byte of any weights. */
export interface PullPlan {
  readonly id: string;
  readonly commit: string;
  readonly family: string;
  /** Null where the repository states none. */
  readonly license: License | null;
  /** What must be known of it before the model is used; null where it is a usual one, or none is stated. */
  readonly licenseWarning: string | null;
  readonly dtypes: PartDtypes;
  readonly files: number;
  /** Of all files together. */
  readonly bytes: number;
  /** Of each part, and of tokenizer, configuration and the like. */
  readonly partBytes: Readonly<Record<'vision' | 'embed' | 'decoder' | 'others', number>>;
  readonly memory: MemoryEstimate;
}

export interface PlannedPull {
  readonly plan: PullPlan;
  readonly family: Family;
  /** Everything but the weights, which says whether the model can be used. */
  readonly small: readonly HubFile[];
  readonly weights: readonly HubFile[];
}

/**
 * Chooses what is needed of a repository. Throws an InputError where its config.json or its list of files show that the model
 * cannot be used.
 */
export function planPull(
  id: string,
  { commit, files, license }: Repository,
  config: PublishedConfig,
  wish: DtypeWish | undefined,
): PlannedPull {
  const family = findFamily(config.model_type);
  const paths = files.map(({ path }) => path);
  const sizes = new Map(files.map(({ path, bytes }) => [path, bytes]));
  const bytesOf = (path: string) => sizes.get(path)!;
  const { dtypes, graphs } = chooseGraphs(paths, { wish, mix: family.mix, bytesOf }, id);
  const missing = textFiles.filter((name) => !paths.includes(name));
  if (missing.length > 0) throw new InputError(`${id} must hold ${missing.join(' and ')}, which it lacks`);
  const of = (graph: string) => {
    const wanted = new Set([graph, ...weightsOf(paths, [graph])]);
    return files.filter(({ path }) => wanted.has(path));
  };
  const parts = { vision: of(graphs.vision), embed: of(graphs.embed), decoder: of(graphs.decoder) };
  const weights = [...parts.vision, ...parts.embed, ...parts.decoder];
  const small = files.filter(({ path }) => isText(path, paths));
  const partBytes = {
    vision: sumBytes(parts.vision),
    embed: sumBytes(parts.embed),
    decoder: sumBytes(parts.decoder),
    others: sumBytes(small),
  };
  const plan = {
    ...{ id, commit, family: family.name, license, licenseWarning: warnOfLicense(license), dtypes },
    files: small.length + weights.length,
    bytes: sumBytes([...small, ...weights]),
    partBytes,
    memory: estimateMemory(config, dtypes, partBytes),
  };
  return { plan, family, small, weights };
}

/** Of two chat templates the runtime reads the one that has a file of its own. */
function isText(path: string, paths: readonly string[]): boolean {
  if (path === 'chat_template.json') return !paths.includes('chat_template.jinja');
  return [...textFiles, ...optionalFiles, NEWLINE_FILE].includes(path);
}
