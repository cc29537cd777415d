import { vi } from 'vitest';
import { runProgram } from '../../src/cli/program.js';
import type { CliRun } from './cli.js';

/**
 * Runs a command line in this process: for what ends before anything is started. What it writes is caught, and its exit
 * code is not left behind.
 */
export async function cliHere(
  args: readonly string[],
  env: Record<string, string>,
  cwd: string,
): Promise<Omit<CliRun, 'notices'>> {
  const before = { cwd: process.cwd(), code: process.exitCode };
  const written = { stdout: '', stderr: '' };
  const spies = (['stdout', 'stderr'] as const).map((name) =>
    vi.spyOn(process[name], 'write').mockImplementation((chunk) => {
      written[name] += chunk;
      return true;
    }),
  );
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
  process.chdir(cwd);
  try {
    process.exitCode = undefined;
    await runProgram(args);
    return { code: Number(process.exitCode ?? 0), ...written };
  } finally {
    process.exitCode = before.code;
    process.chdir(before.cwd);
    vi.unstubAllEnvs();
    for (const spy of spies) spy.mockRestore();
  }
}
