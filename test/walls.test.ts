import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

interface Source {
  readonly file: string;
  readonly text: string;
  /** Packages by name, own files by their path below the root without an ending. */
  readonly imports: readonly string[];
}

const sources: Source[] = ['src', 'queues', 'scripts'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.tsx?$/.test(name))
    .map((name) => readSource(join(folder, name))),
);

function readSource(file: string): Source {
  const text = readFileSync(join(root, file), 'utf8');
  const imports = [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map(([, name]) =>
    name!.startsWith('.')
      ? relative(root, resolve(root, dirname(file), name!)).replace(/\.js$/, '')
      : name!.replace(/^((?:@[^/]+\/)?[^/]+).*$/, '$1'),
  );
  return { file, text, imports };
}

function importers(name: string): string[] {
  return sources.filter(({ imports }) => imports.includes(name)).map(({ file }) => file);
}

/** Files below `folder` that import something that matches. */
function crossings(folder: string, forbidden: RegExp): string[] {
  return sources
    .filter(({ file }) => file.startsWith(`${folder}/`))
    .flatMap(({ file, imports }) =>
      imports.filter((name) => forbidden.test(name)).map((name) => `${file} imports ${name}`),
    );
}

describe('the walls', () => {
  it('sees the imports it is there to judge', () => {
    expect(sources.length).toBeGreaterThan(20);
    expect(importers('zod')).toContain(join('queues', 'schemas.ts'));
    expect(importers('src/pipeline/compress')).toContain(join('src', 'pipeline', 'tokens.ts'));
  });

  it('has one file that imports onnxruntime-node, one fluent-ffmpeg, one sharp', () => {
    expect(importers('onnxruntime-node')).toEqual(['src/models/session.ts']);
    expect(importers('fluent-ffmpeg')).toEqual(['src/media/ffmpeg.ts']);
    expect(importers('sharp')).toEqual(['src/media/image.ts']);
  });

  /** Each room and what it may import of ours besides itself; `src/errors` and `src/format` belong to all. */
  const rooms: Readonly<Record<string, RegExp>> = {
    queues: /^$/,
    'src/settings': /^$/,
    'src/media': /^$/,
    'src/sources': /^src\/media\//,
    'src/models': /^src\/media\//,
    'src/pipeline': /^src\/(media|models)\//,
    'src/workers': /^(queues|src\/(media|sources|models|pipeline)\/|src\/settings$)/,
    'src/batch': /^(queues|src\/(media|sources|models|pipeline|workers)\/|src\/settings$)/,
    'src/dashboard': /^(queues|src\/(media|sources|models|pipeline|workers|batch)\/|src\/settings$)/,
    'src/cli': /^(queues|src\/(media|sources|models|pipeline|workers|batch|dashboard)\/|src\/settings$)/,
    'scripts/clips': /^$/,
  };

  it.each(Object.entries(rooms))('lets imports of %s go one way', (room, allowed) => {
    const strange = sources
      .filter(({ file }) => file.startsWith(`${room}/`))
      .flatMap(({ file, imports }) =>
        imports
          .filter((name) => /^(src|queues|scripts|test)\b/.test(name))
          .filter((name) => !name.startsWith(`${room}/`) && !/^src\/(errors|format)$/.test(name))
          .filter((name) => !allowed.test(name))
          .map((name) => `${file} imports ${name}`),
      );
    expect(strange).toEqual([]);
  });

  it('keeps the queue out of all rooms below the workers, and packages out of the clips', () => {
    for (const room of ['src/media', 'src/sources', 'src/models', 'src/pipeline']) {
      expect(crossings(room, /^(bullmq|ioredis)$/)).toEqual([]);
    }
    expect(crossings('scripts/clips', /^[a-z@](?!cripts\/clips\/)/)).toEqual([]);
  });

  it('lets the pages of the dashboard take types alone from the server', () => {
    const pages = sources.filter(({ file }) => file.startsWith('src/dashboard/web/'));
    const values = pages.flatMap(({ file, text }) =>
      [...text.matchAll(/^import (?!type\b)[^;]*?'([^']+)'/gm)]
        .map(([, name]) =>
          name!.startsWith('.') ? relative(root, resolve(root, dirname(file), name!)) : name!,
        )
        .filter((name) => !/^(src\/dashboard\/web\/|src\/format\.js$|preact(\/|$)|uplot$)/.test(name))
        .map((name) => `${file} imports ${name}`),
    );
    expect(pages.length).toBeGreaterThan(20);
    expect(values).toEqual([]);
  });

  it('reads the environment in one file', () => {
    // The one exception is a message to a library.
    const readers = sources.filter(({ text }) =>
      /process\.env\b(?!\.ORT_DISABLE_TELEMETRY \?\?=)|from 'node:process'/.test(text),
    );
    expect(readers.map(({ file }) => file)).toEqual(['src/settings.ts']);
  });
});
