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
    .filter((name) => name.endsWith('.ts'))
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
    expect(importers('src/pipeline/compress')).toContain(join('src', 'pipeline', 'answer.ts'));
  });

  it('has one file that imports onnxruntime-node, one fluent-ffmpeg, one sharp', () => {
    expect(importers('onnxruntime-node')).toEqual(['src/model/session.ts']);
    expect(importers('fluent-ffmpeg')).toEqual(['src/pipeline/ffmpeg.ts']);
    expect(importers('sharp')).toEqual(['src/pipeline/image.ts']);
  });

  it('keeps the queue out of the pipeline and the model', () => {
    const queue = /^(bullmq|ioredis|queues\/|src\/(workers|cli|dashboard)\/|src\/settings|scripts\/)/;
    expect(crossings('src/pipeline', queue)).toEqual([]);
    expect(crossings('src/model', queue)).toEqual([]);
  });

  it('keeps everything but their own rooms out of the queue and the clips', () => {
    expect(crossings('queues', /^(src|scripts)\//)).toEqual([]);
    expect(crossings('src/clips', /^(src\/(?!clips\/)|queues|scripts|[a-z@])(?!rc\/clips)/)).toEqual([]);
  });

  it('lets imports run one way: cli, dashboard, scripts → workers → pipeline, model', () => {
    expect(crossings('src/workers', /^(src\/(cli|dashboard)\/|scripts\/)/)).toEqual([]);
    expect(crossings('src/dashboard', /^(src\/cli\/|scripts\/)/)).toEqual([]);
    expect(crossings('src/cli', /^scripts\//)).toEqual([]);
  });

  it('reads the environment in one file', () => {
    // The one exception is a message to a library.
    const readers = sources.filter(({ text }) =>
      /process\.env\b(?!\.ORT_DISABLE_TELEMETRY \?\?=)|from 'node:process'/.test(text),
    );
    expect(readers.map(({ file }) => file)).toEqual(['src/settings.ts']);
  });
});
