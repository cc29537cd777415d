import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { askJobSchema } from '../queues/schemas.js';
import { buildProgram } from '../src/cli/program.js';
import * as checks from '../src/dashboard/api/checks.js';
import { commandsOf, lineOf } from '../src/dashboard/api/commands.js';
import { drawFrame } from '../src/dashboard/api/frame-picture.js';
import { mediaTypeOf } from '../src/dashboard/api/media-type.js';
import { problemOf } from '../src/dashboard/api/problems.js';
import type { Overview } from '../src/dashboard/api/schemas.js';
import { Quantiles } from '../src/dashboard/index/quantiles.js';

/** What bash makes of a line. */
const wordsOf = (line: string) =>
  execFileSync('bash', ['--norc', '-c', `printf '%s\\0' ${line}`], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { LC_ALL: 'C.UTF-8' },
  })
    .split('\0')
    .slice(0, -1);

describe('a command line', () => {
  it('comes out of a shell as it went in', () => {
    const hostile = [
      "it's",
      '$(rm -rf /)',
      '`id`',
      '"; reboot',
      'a\nb',
      '\\',
      '!x',
      '*',
      '',
      'ä😀',
      "$'x'",
      '\u001b[201~\u202e',
    ];
    expect(wordsOf(lineOf(hostile))).toEqual(hostile);
  });

  it('does so whatever the words are, and has nothing that a terminal acts on', () => {
    const word = fc.string({ unit: 'grapheme', maxLength: 20 }).map((text) => text.replaceAll('\0', ''));
    fc.assert(
      fc.property(fc.array(word, { minLength: 1, maxLength: 20 }), (words) => {
        const line = lineOf(words);
        expect(wordsOf(line)).toEqual(words);
        // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it is about.
        expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e]/);
      }),
      { numRuns: 20 },
    );
  });

  it('of a job means the same job to the command', () => {
    const job = askJobSchema.parse({
      ...{
        video: '/v/a b.mp4',
        questions: [{ question: '-what?', options: ['x', '-y'] }],
        model: 'nano',
        strict: true,
      },
      sampling: { fps: 2, maxFrames: 9, method: 'uniform', startSeconds: 1.5, endSeconds: 20 },
      compression: { dominant: 14, contextual: 3 },
      overTime: { windows: 'keep', budget: 'even' },
      generation: { maxNewTokens: 7, temperature: 0.5, stop: ['.', '\n'] },
    });
    const { command } = commandsOf('j1', job, true).find(({ title }) => title.startsWith('Ask it anew'))!;
    const [program, name, ...words] = wordsOf(command);
    expect([program, name]).toEqual(['visionzip', 'enqueue']);
    const enqueue = buildProgram().commands.find((other) => other.name() === 'enqueue')!;
    const { operands, unknown } = enqueue.parseOptions(words);
    expect([operands, unknown]).toEqual([['/v/a b.mp4', '-what?'], []]);
    expect(enqueue.opts()).toMatchObject({
      ...{
        fps: 2,
        maxFrames: 9,
        sampling: 'uniform',
        start: 1.5,
        end: 20,
        compression: job.compression,
        model: 'nano',
      },
      ...{
        overTime: job.overTime,
        maxNewTokens: 7,
        temperature: 0.5,
        stop: ['.', '\n'],
        strict: true,
        option: ['x', '-y'],
      },
    });
  });

  it('is not offered for what the command line has no words for', () => {
    const own = (options: string[]) => ({ question: '?', options });
    const twoKinds = { video: 'a', questions: [own(['x', 'y']), own(['x', 'z'])] };
    const withHistory = { video: 'a', questions: '?', history: [{ question: 'a', answer: 'b' }] };
    for (const job of [twoKinds, withHistory]) {
      const lines = commandsOf('j', askJobSchema.parse(job), false).map(({ command }) => command);
      expect(lines).toEqual(['visionzip result j --wait', 'visionzip cancel j']);
    }
  });
});

const worker = (rest: Partial<NonNullable<Overview['workers']>[number]> = {}) => ({
  ...{ name: 'w', address: '', ageSeconds: 1, version: '0.1.0', sandbox: 'bwrap', concurrency: 1, jobs: [] },
  ...rest,
});
const counts = { waiting: 0, delayed: 0, active: 0, completed: 0, failed: 0, cancelled: 0 };
const health = {
  version: '7',
  usedMemoryBytes: 0,
  maxMemoryBytes: 100,
  isCluster: false,
  maxMemoryPolicy: 'noeviction',
};

describe('a check of health', () => {
  const cases: readonly (readonly [string, ReturnType<typeof checks.checkMemory>, string])[] = [
    ['memory without a limit', checks.checkMemory({ ...health, maxMemoryBytes: 0 }), 'ok'],
    ['memory with room', checks.checkMemory({ ...health, usedMemoryBytes: 59 }), 'ok'],
    ['memory that fills up', checks.checkMemory({ ...health, usedMemoryBytes: 61 }), 'warn'],
    ['memory at which no jobs are taken', checks.checkMemory({ ...health, usedMemoryBytes: 80 }), 'bad'],
    ['jobs that cannot vanish', checks.checkEviction(health), 'ok'],
    ['jobs that can vanish', checks.checkEviction({ ...health, maxMemoryPolicy: 'allkeys-lru' }), 'bad'],
    ['a policy that is not told', checks.checkEviction({ ...health, maxMemoryPolicy: '' }), 'unknown'],
    ['events as BullMQ keeps them', checks.checkEvents({ length: 10_100, bytes: 1 }), 'ok'],
    ['too many events', checks.checkEvents({ length: 50_000, bytes: null }), 'warn'],
    ['too large events', checks.checkEvents({ length: 10, bytes: 2 ** 28 }), 'warn'],
    ['a worker', checks.checkWorkers([worker()], 3), 'ok'],
    ['workers of two versions', checks.checkWorkers([worker(), worker({ version: '0.2.0' })], 3), 'warn'],
    ['no worker and no job', checks.checkWorkers([], 0), 'warn'],
    ['no worker for a job', checks.checkWorkers([], 1), 'bad'],
    ['workers that are not told', checks.checkWorkers(null, 1), 'unknown'],
    ['a sandbox', checks.checkSandbox([worker()]), 'ok'],
    ['no sandbox', checks.checkSandbox([worker(), worker({ sandbox: null })]), 'bad'],
    [
      'a sandbox that is not told',
      checks.checkSandbox([worker({ version: null, sandbox: null })]),
      'unknown',
    ],
    ['a queue', checks.checkQueue({ counts, secondsOfWork: 0, isPaused: false }), 'ok'],
    ['a paused queue', checks.checkQueue({ counts, secondsOfWork: 0, isPaused: true }), 'warn'],
    ['two days of work', checks.checkQueue({ counts, secondsOfWork: 172_800, isPaused: false }), 'warn'],
    ['a disk', checks.checkDisk({ dir: '/d', freeBytes: 2 ** 32, limitBytes: 2 ** 31 }), 'ok'],
    ['a full disk', checks.checkDisk({ dir: '/d', freeBytes: 2 ** 20, limitBytes: 2 ** 31 }), 'bad'],
    [
      'a disk that fills up',
      checks.checkDisk({ dir: '/d', freeBytes: 2 ** 28, limitBytes: 2 ** 31 }),
      'warn',
    ],
    ['a disk elsewhere', checks.checkDisk(null), 'unknown'],
    ['reuse', checks.checkReuse({ jobs: 4, cached: 1, tokens: 2, prefix: 0 }), 'ok'],
    ['no jobs', checks.checkReuse({ jobs: 0, cached: 0, tokens: 0, prefix: 0 }), 'unknown'],
    ['a whole index', checks.checkIndex({ jobs: 2, of: 2, isComplete: true }), 'ok'],
    ['an index of some', checks.checkIndex({ jobs: 2, of: 3, isComplete: true }), 'warn'],
    ['an index under way', checks.checkIndex({ jobs: 2, of: 3, isComplete: false }), 'warn'],
  ];

  it.each(cases)('of %s', (_, { found, advice, level }, expected) => {
    expect(level).toBe(expected);
    expect(found).toMatch(/^[A-Z0-9].*\.$/);
    if (level === 'bad' || level === 'warn') expect(advice).toMatch(/^[A-Z].*\.$/);
  });

  it('says what is found in numbers', () => {
    expect(
      checks.checkMemory({ ...health, usedMemoryBytes: 85 * 2 ** 20, maxMemoryBytes: 100 * 2 ** 20 }).found,
    ).toBe('Redis uses 85.0 MiB of its 100 MiB (85 %).');
    expect(checks.checkWorkers([], 1).found).toBe('No worker is connected, and 1 job waits.');
    expect(checks.checkReuse({ jobs: 4, cached: 1, tokens: 2, prefix: 0 }).found).toContain('25 %');
  });
});

describe('the parts', () => {
  it('know quantiles to half a percent', () => {
    const quantiles = new Quantiles();
    for (let value = 1; value <= 1_000; value += 1) quantiles.add(value);
    for (const share of [0.5, 0.9, 0.99]) {
      const exact = 1_000 * share + 1; // Of 1 to 1000 so large a share lies below.
      expect(Math.abs(quantiles.at(share) / exact - 1)).toBeLessThan(0.0051);
    }
    expect(new Quantiles().at(0.5)).toBe(0);
  });

  it('know containers by their first bytes', () => {
    const head = (text: string) => Buffer.concat([Buffer.from(text, 'latin1'), Buffer.alloc(600)]);
    expect(mediaTypeOf(head('\0\0\0\x18ftypqt  '), null)).toBe('video/mp4');
    expect(mediaTypeOf(head('\x1a\x45\xdf\xa3....webm'), null)).toBe('video/webm');
    expect(mediaTypeOf(head('\x1a\x45\xdf\xa3....matroska'), null)).toBe('video/x-matroska');
    expect(mediaTypeOf(head('RIFF....AVI '), null)).toBe('video/x-msvideo');
    expect(mediaTypeOf(head('<html><script>'), null)).toBeNull();
    expect(mediaTypeOf(Buffer.from('ab'), null)).toBeNull();
  });

  it('draw each patch in its place of the grid', () => {
    const frame = {
      ...{
        index: 0,
        ptsSeconds: 1,
        picture: 'AAAA',
        grid: { rows: 2, columns: 2 },
        tokensBefore: 4,
        tokensAfter: 2,
      },
      ...{ dominant: [1, 99, -1], contextual: [[2, 3]] },
    };
    const { text } = drawFrame(frame, { width: 20, height: 10 });
    expect(text).toContain('<path class="dominant" d="M10 0h10v5h-10z"/>'); // What lies beside the grid is left out.
    expect(text).toContain('<path class="contextual" d="M0 5h10v5h-10z"/>');
    expect(drawFrame({ ...frame, picture: '"/><script>' }, { width: 20, height: 10 }).text).not.toContain(
      'script',
    );
  });

  it('make a sentence of whatever is thrown', () => {
    expect(problemOf(new Error('broken'))).toEqual({ status: 500, error: 'the dashboard failed: broken' });
    expect(problemOf(null)).toMatchObject({ status: 500 });
  });
});
