import { type ChildProcess, type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { shippedModelNotice } from '../../src/cli/notice.js';

const main = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url));

export interface CliRun {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** How often it was said what the shipped model knows. */
  readonly notices: number;
}

/** A command under way. */
export interface RunningCli {
  readonly child: ChildProcess;
  readonly ended: Promise<CliRun>;
  /** Resolves once the error output holds this text. */
  stderrHas(text: string): Promise<void>;
}

/**
 * Starts the compiled command line as a process of its own, with no settings and no input but those given. Encoded videos are not
 * kept, so that each test has its own encoded.
 */
export function startCli(
  args: readonly string[],
  env: Record<string, string> = {},
  cwd?: string,
  input?: string,
): RunningCli {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(REDIS_URL|HF_|VISIONZIP_(?!MODEL_DIRS)|FORCE_COLOR)/.test(name),
  );
  const child = spawn(process.execPath, [main, ...args], {
    cwd,
    env: { ...Object.fromEntries(inherited), NO_COLOR: '1', VISIONZIP_STORE_MIB: '0', ...env },
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  }) as ChildProcessByStdio<Writable | null, Readable, Readable>;
  child.stdin?.end(input);
  const stdout: Buffer[] = [];
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const ended = once(child, 'close').then(([code]) => ({
    code: code as number | null,
    stdout: Buffer.concat(stdout).toString(),
    // Has a test of its own.
    stderr: stderr.replaceAll(`visionzip: ${shippedModelNotice}\n`, ''),
    notices: stderr.split(shippedModelNotice).length - 1,
  }));
  return {
    child,
    ended,
    async stderrHas(text) {
      while (!stderr.includes(text)) await Promise.race([once(child.stderr, 'data'), failAtEnd(ended, text)]);
    },
  };
}

async function failAtEnd(ended: Promise<CliRun>, text: string): Promise<never> {
  const { code, stderr } = await ended;
  throw new Error(`ended with ${code} before "${text}": ${stderr}`);
}

export function cli(
  args: readonly string[],
  env?: Record<string, string>,
  cwd?: string,
  input?: string,
): Promise<CliRun> {
  return startCli(args, env, cwd, input).ended;
}

/** The one JSON document on standard output; throws where there is anything else. */
export function documentOf({ stdout }: Pick<CliRun, 'stdout'>): Record<string, unknown> {
  return JSON.parse(stdout);
}
