import { readdir, stat } from 'node:fs/promises';
import { basename, extname, join, normalize, relative, resolve } from 'node:path';
import { containers } from '../media/formats.js';

/** The endings that videos have mostly, then all others that are read. */
const endings = [
  ...new Set([
    'mp4',
    'mkv',
    'webm',
    'avi',
    'mov',
    ...containers.flatMap(({ extensions }) => extensions),
    'gif',
  ]),
].map((extension) => `.${extension}`);

/** How many names are remembered: rows about one video mostly follow each other. */
const maxRemembered = 1_000;

/** A folder of videos, in which rows name them with or without their ending. */
export class VideoFolder {
  readonly #folder: string;
  readonly #found = new Map<string, Promise<string>>();
  /** Paths of the files below the folder by their name, see `foldName`, once it was walked through. */
  #below: Promise<ReadonlyMap<string, readonly string[]>> | undefined;

  constructor(folder: string) {
    this.#folder = resolve(folder);
  }

  /**
   * The path of a video: of that very name in the folder; with an ending; then the same anywhere below.
   *
   * @throws RangeError that says what was looked for
   */
  find(name: string): Promise<string> {
    const known = this.#found.get(name);
    if (known) return known;
    const found = this.#find(name);
    found.catch(() => {}); // Told to whoever asks.
    this.#found.set(name, found);
    const oldest = this.#found.keys().next();
    if (this.#found.size > maxRemembered && !oldest.done) this.#found.delete(oldest.value);
    return found;
  }

  async #find(name: string): Promise<string> {
    const path = resolve(this.#folder, name);
    for (const candidate of [path, ...endings.map((ending) => path + ending)])
      if (await isFile(candidate)) return candidate;
    const below = await this.#walk();
    const found =
      ['', ...endings]
        .map((ending) => foldName(name + ending))
        .map((wanted) => (below.get(basename(wanted)) ?? []).filter((path) => endsWithPath(path, wanted)))
        .find((paths) => paths.length > 0) ?? [];
    if (found.length === 1) return join(this.#folder, found[0]!);
    throw new RangeError(this.#describe(name, found));
  }

  #describe(name: string, found: readonly string[]): string {
    const quoted = JSON.stringify(name);
    if (found.length > 1)
      return `the video ${quoted} is there more than once below ${this.#folder}: ${found.slice(0, 3).join(', ')}`;
    const tried = endings.slice(0, 5).join(', ');
    return `no video ${quoted} in ${this.#folder} or a folder below it: looked for that name, and for it with ${tried} …`;
  }

  #walk(): Promise<ReadonlyMap<string, readonly string[]>> {
    this.#below ??= filesBelow(this.#folder);
    return this.#below;
  }
}

async function filesBelow(folder: string): Promise<ReadonlyMap<string, readonly string[]>> {
  const found = new Map<string, string[]>();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isDirectory()) continue;
    const path = relative(folder, join(entry.parentPath, entry.name));
    const name = foldName(entry.name);
    const others = found.get(name);
    if (others) others.push(path);
    else found.set(name, [path]);
  }
  for (const paths of found.values()) paths.sort();
  return found;
}

/** Folders that a row names are part of its video's name: `b/1.mp4` is not `a/1.mp4`. */
function endsWithPath(path: string, wanted: string): boolean {
  return `/${foldName(path)}`.endsWith(`/${normalize(wanted)}`);
}

/** Alike for names that look alike: letters composed or not, as macOS and others write them, and `.MP4` like `.mp4`. */
function foldName(name: string): string {
  const composed = name.normalize('NFC');
  const ending = extname(composed);
  return composed.slice(0, composed.length - ending.length) + ending.toLowerCase();
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (stats) => stats.isFile(),
    () => false,
  );
}
