import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Result, resultSchema } from '../queues/index.js';
import { temporaryFolder } from './media.js';
import { type CliRun, cli, documentOf } from './support/cli.js';

const folder = temporaryFolder();
const clip = join(folder, 'clip-000.mp4');
const questions = ['How many objects are there?', 'What moves?'];
const chat = (input: string, ...args: string[]) => cli(['chat', clip, ...args], {}, undefined, input);

beforeAll(async () => {
  const clips = fileURLToPath(new URL('../dist/scripts/clips.js', import.meta.url));
  await promisify(execFile)(process.execPath, [clips, '--seed', '5', '--count', '1', '--out', folder]);
});

function lines({ stdout }: CliRun): Record<string, unknown>[] {
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
}

const textOf = ({ answers }: Result) => answers.map(({ question, answer }) => [question, answer]);

describe('visionzip chat', () => {
  it('answers each line of a pipe as `ask` does where the model knows single questions, and encodes the video once', async () => {
    const asked = resultSchema.parse(documentOf(await cli(['ask', clip, ...questions, '--json'])));
    const run = await chat(`${questions[0]}\n\n  ${questions[1]}`, '--json');
    expect([run.code, run.stderr, run.notices]).toEqual([0, '', 1]);
    const documents = lines(run) as unknown as (Result & { question: string })[];
    expect(documents.map(({ question }) => question)).toEqual(questions);
    expect(documents.flatMap(textOf)).toEqual(textOf(asked));
    for (const { timings, tokens, cached } of documents) {
      expect([timings.probeMs, timings.decodeMs, timings.encodeMs, cached]).toEqual([0, 0, 0, false]);
      expect(timings.generateMs).toBeGreaterThan(0);
      expect(tokens).toEqual(asked.tokens);
    }
  });

  it('asks each question with --history with what was asked and answered before, until /new', async () => {
    const input = `${questions[0]}\n${questions[1]}\n/new\n${questions[1]}\n`;
    const run = await chat(input, '--json', '--history');
    expect([run.code, run.stderr]).toEqual([0, '']);
    const tokens = (lines(run) as unknown as Result[]).map(({ answers }) => answers[0]!.promptTokens);
    const alone = lines(await chat(`${questions[1]}\n`, '--json')) as unknown as Result[];
    const short = alone[0]!.answers[0]!.promptTokens;
    // The second prompt holds the first question and its answer, too.
    expect(tokens[1]).toBeGreaterThan(short + 5);
    expect(tokens[2]).toBe(short);
  });

  it('prints each question of a pipe above its answer, and what the video came to before', async () => {
    const run = await chat(`${questions[1]}\n`);
    expect([run.code, run.stdout]).toEqual([0, expect.stringMatching(/^What moves\?\n.+\n$/)]);
    expect(run.stderr).toMatch(/^tokens {2}\d+ → \d+.*\ntime {4}.*longest .*\n.*tokens\n$/);
  });

  it('goes on after a question that is refused, and says so by its exit code', async () => {
    const run = await chat(`${'very '.repeat(3_000)}long?\n${questions[1]}\n`, '--json');
    expect(lines(run)).toMatchObject([{ status: 'failed', fault: 'question' }, { status: 'completed' }]);
    expect([run.code, run.stderr]).toEqual([1, expect.stringMatching(/^visionzip: .*context.*\n$/)]);
  });

  it('refuses a video that cannot be asked before any question', async () => {
    const run = await cli(['chat', join(folder, 'none.mp4'), '--json'], {}, undefined, 'What moves?\n');
    expect([run.code, lines(run)]).toMatchObject([1, [{ status: 'failed', fault: 'video' }]]);
  });
});
