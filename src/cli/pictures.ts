import { readdir } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { usageError } from './exit.js';

/**
 * The folder for the pictures of each video: the one that was named, or one below it for each of several videos.
 *
 * @throws a usage error where one holds pictures already: those of two videos, or of two runs, would mix.
 */
export async function pictureFolders(folder: string, videos: readonly string[]): Promise<string[]> {
  const folders =
    videos.length === 1 ? [resolve(folder)] : namesOf(videos).map((name) => resolve(folder, name));
  for (const path of folders) {
    const names: string[] = await readdir(path).catch(() => []); // Absent, or for the writer to complain about.
    const picture = names.find((name) => /^frame-\d+.*\.png$/.test(name));
    if (picture !== undefined)
      throw usageError(
        `--save-frames: expected a folder without pictures, ${path} holds ${picture}; choose another`,
      );
  }
  return folders;
}

/** The videos' own names, told apart where they are the same. */
function namesOf(videos: readonly string[]): string[] {
  const seen = new Map<string, number>();
  return videos.map((video) => {
    const name = basename(video);
    const count = (seen.get(name) ?? 0) + 1;
    seen.set(name, count);
    return count === 1 ? name : `${name}-${count}`;
  });
}
