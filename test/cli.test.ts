import { type StdioOptions, spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cli, documentOf, startCli } from './support/cli.js';
import { cliHere } from './support/cli-here.js';

const commands = [
  'ask',
  'chat',
  'enqueue',
  'result',
  'cancel',
  'status',
  'batch',
  'worker',
  'redis',
  'dashboard',
];

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'visionzip-cli-'));
  writeFileSync(join(folder, 'rows.jsonl'), '{"video":"a.mp4","question":"What?"}\n');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe.skipIf(!existsSync('/dev/full'))('an output that cannot be written', () => {
  const main = fileURLToPath(new URL('../dist/src/cli/main.js', import.meta.url));
  const run = (stdio: StdioOptions, ...args: string[]) =>
    spawnSync(process.execPath, [main, ...args], { stdio, cwd: folder, encoding: 'utf8' });

  it('is told in a sentence, while a command runs and at its end', () => {
    const full = openSync('/dev/full', 'w');
    writeFileSync(join(folder, 'answers.jsonl'), '{"prediction":"a","answer":"a"}\n');
    for (const args of [
      ['report', 'answers.jsonl'],
      ['report', 'answers.jsonl', '--json'],
      ['batch', 'rows.jsonl', '--out', '-', '--local', '--videos', '.'],
    ]) {
      const { status, stderr } = run(['ignore', full, 'pipe'], ...args);
      expect([status, stderr.match(/visionzip: cannot write the output: ENOSPC.*\n/g)?.length]).toEqual([
        1, 1,
      ]);
      expect(stderr).not.toContain('    at ');
    }
    const { status, stdout } = run(['ignore', 'pipe', full], 'report', 'answers.jsonl');
    expect([status, stdout.split('\n')[0]]).toEqual([0, expect.stringContaining('1 of 1')]);
    closeSync(full);
  });
});

describe('the help', () => {
  it.each(commands)('of %s has examples, its options and the exit codes', async (name) => {
    const { code, stdout, stderr } = await cliHere([name, '--help'], {}, folder);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toContain(`Usage: visionzip ${name}`);
    expect(stdout).toContain(`$ visionzip ${name}`);
    expect(stdout).toContain('--json');
    expect(stdout).toContain('130  interrupted');
  });

  it('of the whole names every command', async () => {
    const { code, stdout } = await cli(['--help']);
    expect(code).toBe(0);
    for (const name of commands) expect(stdout).toMatch(new RegExp(`^  ${name} `, 'm'));
  });

  it('comes on standard error, with exit code 2, where there is no command', async () => {
    const { code, stdout, stderr } = await cli([]);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain('Usage: visionzip');
  });
});

describe('a wrong command line', () => {
  it.each([
    [['frobnicate'], "unknown command 'frobnicate'"],
    [['ask'], "missing required argument 'video'"],
    [['ask', 'clip.mp4'], "missing required argument 'question'"],
    [['ask', 'clip.mp4', 'What?', '--colour'], "unknown option '--colour'"],
    [['ask', 'clip.mp4', 'What?', '--frames', 'few'], 'expected a whole number from 0 up, got "few"'],
    [['ask', 'clip.mp4', 'What?', '--frames', '0'], '--frames: '],
    [['ask', 'clip.mp4', 'What?', '--frames', '4', '--fps', '1'], 'give --frames or --fps, not both'],
    [
      ['ask', 'clip.mp4', 'What?', '--fast', '--sampling', 'uniform'],
      'give --fast or --sampling uniform, not both',
    ],
    [['ask', 'clip.mp4', 'What?', '--start', '9', '--end', '8'], '--start must be below --end'],
    [['ask', 'clip.mp4', 'What?', '--start', '1:2:3:4'], 'expected seconds, m:ss or h:mm:ss, got "1:2:3:4"'],
    [['ask', 'clip.mp4', 'What?', '--compression', '14'], 'expected auto, none or dominant+contextual'],
    [['ask', 'clip.mp4', 'What?', '--temperature', '-1'], 'expected a number from 0 up, got "-1"'],
    [['ask', 'clip.mp4', 'What?', '--top-p', '1.5'], '--top-p: '],
    [['ask', 'clip.mp4', ' '], 'the question is empty'],
    [['ask', 'a.mp4', 'b.mp4'], 'expected a question behind the video, found only "a.mp4", "b.mp4"'],
    [['ask', 'a.mp4', 'What?', 'rows.jsonl'], '"rows.jsonl" follows a question and looks like a video'],
    [['ask', '-4wsu.mp4', 'What?'], 'begins with "-": write ./-4wsu.mp4, or put it behind --'],
    [['enqueue', '-hVx.mkv', 'What?'], 'begins with "-": write ./-hVx.mkv, or put it behind --'],
    [['enqueue', 'a.mp4', 'b.mp4', 'What?', '--id', 'mine'], '--id is for one video, got 2'],
    [['batch', 'rows.jsonl', '--out', '/dev/stdout', '--replace'], 'for an --out that can be read again'],
    [
      ['ask', 'clip.mp4', 'What?', '--model', './nowhere'],
      '--model: expected the folder of a prepared model',
    ],
    [['enqueue', 'clip.mp4', 'What?', '--model', './nano'], '--model: a model is named by its folder'],
    [['enqueue', 'clip.mp4', 'What?', '--timeout', '5'], '--timeout goes with --wait or --follow'],
    [['enqueue', 'clip.mp4', 'What?', '--wait', '--follow'], 'give --wait or --follow, not both'],
    [['batch', 'rows.jsonl'], "required option '--out <file>' not specified"],
    [['batch', 'rows.jsonl', '--out', 'out.jsonl', '--frames', '0'], '--frames: '],
    [
      ['batch', 'rows.jsonl', '--out', 'out.jsonl', '--shard', '3/2'],
      'expected a part and the number of parts',
    ],
    [
      ['batch', 'rows.jsonl', '--out', 'out.jsonl', '--map', 'clip=x'],
      'expected pairs such as video=clip_name',
    ],
    [['batch', 'rows.jsonl', '--out', 'out.jsonl', '--tag', 'run=x'], '--run-id sets the tag `run`'],
    [
      ['batch', 'rows.jsonl', '--out', 'out.jsonl', '--only', '2'],
      '--only 2: no row has this number (from 1)',
    ],
    [
      ['batch', 'rows.jsonl', '--out', 'out.jsonl', '--videos', 'nowhere'],
      '--videos: there is no folder nowhere',
    ],
    [
      ['batch', 'rows.jsonl', '--out', 'out.jsonl', '--videos', 'rows.jsonl'],
      '--videos: there is no folder rows.jsonl',
    ],
    [['batch', 'nowhere.jsonl', '--out', 'out.jsonl'], 'cannot read the rows: ENOENT'],
    [['batch', 'rows.jsonl', '--out', 'nowhere/out.jsonl'], '--out: there is no folder'],
    [['redis', '--stop', '--status'], 'give --stop or --status, not both'],
    [['dashboard', '--port', '70000'], '--port'],
  ])('%j is refused in one line, with exit code 2', async (args, sentence) => {
    const { code, stdout, stderr } = await cliHere(args, { VISIONZIP_HOME: folder }, folder);
    expect(stderr).toContain(sentence);
    expect(stderr).toMatch(/^visionzip: [^\n]+\n$/);
    expect([code, stdout]).toEqual([2, '']);
  });

  it('leaves one JSON document with --json', async () => {
    const run = await cli(['ask', 'clip.mp4', 'What?', '--frames', 'few', '--json']);
    expect(run.code).toBe(2);
    expect(documentOf(run)).toEqual({
      error: expect.stringContaining('expected a whole number'),
      fault: 'settings',
      exitCode: 2,
    });
  });

  it.each([
    ['question', ['enqueue', 'clip.mp4', '']],
    ['video', ['enqueue', '', 'What?']],
    ['model', ['ask', 'clip.mp4', 'What?', '--model', 'nobody']],
    ['model', ['enqueue', 'clip.mp4', 'What?', '--model', './nano']],
    ['settings', ['enqueue', 'clip.mp4', 'What?', '--start', '3', '--end', '2']],
  ])('which says whose fault it is: %s of %j', async (fault, args) => {
    const run = await cliHere([...args, '--json'], {}, folder);
    expect([run.code, documentOf(run).fault]).toEqual([2, fault]);
  });

  it('includes a document where the rows of a batch go', async () => {
    const run = await cli(['batch', 'rows.jsonl', '--out', '-', '--json'], {}, folder);
    expect([run.code, run.stderr]).toEqual([2, expect.stringContaining('where --out writes the rows')]);
  });

  it('shows where it was found with --debug', async () => {
    const { stderr } = await cli(['ask', 'clip.mp4', ' ', '--debug']);
    expect(stderr).toMatch(/^visionzip: the question is empty\n/);
    expect(stderr).toContain('    at ');
  });

  it('includes a wrong setting', async () => {
    const run = await cli(['status', '--json'], { VISIONZIP_THREADS: 'many' });
    expect(run.code).toBe(2);
    expect(documentOf(run).error).toContain('VISIONZIP_THREADS: expected a whole number');
  });

  it('includes a batch whose output is its input', async () => {
    const rows = join(folder, 'rows.jsonl');
    const { code, stderr } = await cli(['batch', rows, '--out', rows]);
    expect([code, stderr]).toEqual([2, `visionzip: --out must not be the input file ${rows}\n`]);
  });
});

describe('where Redis cannot be reached', () => {
  const rows = () => join(folder, 'rows.jsonl');

  it.each([
    ['enqueue', () => ['clip.mp4', 'What?']],
    ['enqueue', () => ['clip.mp4', 'What?', '--wait']],
    ['result', () => ['some-id']],
    ['cancel', () => ['some-id']],
    ['status', () => []],
    ['batch', () => [rows(), '--out', join(folder, 'out.jsonl')]],
    ['redis', () => ['--status']],
  ])('%s fails at once with exit code 3', async (name, args) => {
    // Nothing listens on port 1.
    const run = await cli([name, ...args(), '--json'], { REDIS_URL: 'redis://127.0.0.1:1' });
    expect(run.code).toBe(3);
    expect(documentOf(run)).toEqual({
      error: expect.stringContaining('cannot reach Redis at redis://127.0.0.1:1'),
      fault: null,
      exitCode: 3,
    });
  });

  it('batch keeps its promise that nothing is lost', async () => {
    const { stderr } = await cli(['batch', rows(), '--out', join(folder, 'kept.jsonl')], {
      REDIS_URL: 'redis://127.0.0.1:1',
    });
    expect(stderr).toContain('1 row: 0 answered, 0 failed, 1 not reached');
  });
});

describe('visionzip redis', () => {
  it('starts a private server, finds it again and stops it', async () => {
    const env = { VISIONZIP_HOME: join(folder, 'home') };
    const address = join(folder, 'home/redis/s');
    expect((await cli(['redis', '--status'], env)).code).toBe(3);
    expect(documentOf(await cli(['redis', '--json'], env))).toEqual({ address, started: true });
    expect(documentOf(await cli(['redis', '--json'], env))).toEqual({ address, started: false });
    expect(await cli(['redis', '--status'], env)).toMatchObject({
      code: 0,
      stdout: `${address}\n`,
      stderr: '',
    });
    expect(documentOf(await cli(['redis', '--stop', '--json'], env))).toEqual({ stopped: true });
    expect(documentOf(await cli(['redis', '--stop', '--json'], env))).toEqual({ stopped: false });
  });

  it("does not stop another's server", async () => {
    const { code, stderr } = await cli(['redis', '--stop'], { REDIS_URL: 'redis://127.0.0.1:1' });
    expect([code, stderr]).toEqual([2, expect.stringContaining('it is not stopped')]);
  });
});

describe('standard output', () => {
  it('may be closed by its reader', async () => {
    const { child, ended } = startCli(['ask', '--help']);
    child.stdout!.destroy();
    const { code, stderr } = await ended;
    expect([code, stderr]).toEqual([0, '']);
  });
});
