import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { VideoFolder } from '../src/batch/videos.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'visionzip-videos-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function find(name: string, ...files: string[]): Promise<string> {
  for (const file of files) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), '');
  }
  const path = await new VideoFolder(folder).find(name);
  return path.slice(folder.length + 1);
}

describe('a video that a row names', () => {
  it('lies in the folders that the row names, wherever those lie', async () => {
    expect(await find('b/1', 'deep/a/1.mp4', 'deep/b/1.mp4')).toBe('deep/b/1.mp4');
    await expect(find('c/1')).rejects.toThrow('no video "c/1" in ');
    await expect(find('1')).rejects.toThrow(/more than once below .*: deep.a.1.mp4, deep.b.1.mp4$/);
  });

  it('is found however its letters are composed, and by an ending in capitals', async () => {
    const [composed, decomposed] = ['caf\u00e9', 'nai\u0308ve'];
    expect(await find(composed, `${composed.normalize('NFD')}.mp4`)).toBe(`${composed.normalize('NFD')}.mp4`);
    expect(await find(decomposed, `deep/${decomposed.normalize('NFC')}.mp4`)).toBe(
      `deep/${decomposed.normalize('NFC')}.mp4`,
    );
    expect(await find('gopro', 'deep/gopro.MP4')).toBe('deep/gopro.MP4');
  });
});
