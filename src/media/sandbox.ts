import { type ChildProcess, spawn } from 'node:child_process';
import { open, realpath } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { INPUT_DESCRIPTOR } from './media.js';

/** The two programs that read untrusted video. */
export interface DecoderPrograms {
  /** Name on PATH or absolute path; default `ffmpeg`. */
  readonly ffmpeg: string;
  /** Name on PATH or absolute path; default `ffprobe`. */
  readonly ffprobe: string;
}

/** What one run of a decoder may use. */
export interface ProcessLimits {
  /** Address space in bytes. */
  readonly memoryBytes: number;
  /** Processor time in seconds: ends a decoder whose parent is gone and can no longer kill it. */
  readonly cpuSeconds: number;
}

/** How decoders are started on this machine. */
export interface Sandbox extends Fence {
  /** Whether what the decoder says may be of frames that come later: since ffmpeg 7 its parts run in threads of their own. */
  readonly runsAhead: boolean;
}

interface Fence {
  /** For people: which fence is around the decoder. */
  readonly description: string;
  /** The command line that runs `program` with `args` inside the sandbox. */
  wrap(program: keyof DecoderPrograms, args: readonly string[], limits: ProcessLimits): string[];
  /** The environment of the decoder; undefined means this process's own. */
  readonly env: NodeJS.ProcessEnv | undefined;
}

const PROBE_LIMITS: ProcessLimits = { memoryBytes: 2 ** 30, cpuSeconds: 30 };
const PROBE_TIMEOUT_MS = 10_000;

/**
 * Finds the tightest sandbox that works here, by really decoding something in it: bubblewrap (no network, no
 * files but the system's libraries, dies with this process), else prlimit with a parent-death signal, else
 * prlimit, else nothing. A decoder gets an empty environment wherever that works.
 *
 * @throws Error when ffmpeg is missing or older than 5.1.
 */
export async function findSandbox(programs: DecoderPrograms): Promise<Sandbox> {
  const { found, fences } = await locate(programs);
  for (const candidate of candidates(found, fences)) {
    const outcome = await tryOut(candidate);
    // What hangs here would hang in each of them: the fence stays, and the deadlines of real runs end it.
    if (outcome.ok || outcome.timedOut) return { ...candidate, runsAhead: majorVersion(outcome.stderr) >= 7 };
  }
  return { ...bare(found), runsAhead: true };
}

/** From the tightest to the loosest. */
function candidates(
  programs: DecoderPrograms,
  [bwrap, prlimit, setpriv]: readonly (string | null)[],
): Fence[] {
  const fences: [name: string, command: string[]][] = [];
  if (bwrap) fences.push(['bubblewrap without network', [bwrap, ...bwrapArgs(programs), '--']]);
  if (setpriv) fences.push(['parent-death signal', [setpriv, '--pdeathsig', 'KILL', '--no-new-privs', '--']]);
  const sandbox = (name: string, prefix: (limits: ProcessLimits) => string[]): Fence => ({
    description: name,
    wrap: (program, args, limits) => [...prefix(limits), programs[program], ...args],
    env: {},
  });
  const limited = (limits: ProcessLimits) => (prlimit ? [prlimit, ...prlimitArgs(limits), '--'] : []);
  const list = fences.flatMap(([name, fence]) => [
    ...(prlimit ? [sandbox(`${name}, prlimit`, (limits) => [...fence, ...limited(limits)])] : []),
    sandbox(name, () => fence),
  ]);
  return prlimit ? [...list, sandbox('prlimit', limited)] : list;
}

function bare(programs: DecoderPrograms): Fence {
  return {
    description: 'none (neither bubblewrap nor prlimit works here)',
    wrap: (program, args) => [programs[program], ...args],
    env: undefined,
  };
}

function prlimitArgs({ memoryBytes, cpuSeconds }: ProcessLimits): string[] {
  return [
    `--as=${Math.ceil(memoryBytes)}`,
    `--cpu=${Math.ceil(cpuSeconds)}`,
    '--nofile=64',
    '--fsize=0',
    '--core=0',
  ];
}

/**
 * Only the system's libraries are visible, read-only; the video itself comes as an open file. Not `--new-session`: no
 * terminal can be reached anyhow from the session that each decoder is started in, and what moves to another one while
 * bubblewrap starts outlives the killing of its group.
 */
function bwrapArgs(programs: DecoderPrograms): string[] {
  const elsewhere = Object.values(programs)
    .map((program: string) => dirname(program))
    .filter((folder) => !folder.startsWith('/usr/'));
  const folders = ['/lib', '/lib64', '/bin', '/etc/alternatives', '/etc/ld.so.cache', ...new Set(elsewhere)];
  return [
    ...['--unshare-all', '--die-with-parent', '--clearenv', '--cap-drop', 'ALL'],
    ...['--ro-bind', '/usr', '/usr'],
    ...folders.flatMap((folder) => ['--ro-bind-try', folder, folder]),
    ...['--proc', '/proc', '--dev', '/dev'],
  ];
}

/** Decodes twelve bytes of this very file as a 2×2 picture. */
async function tryOut(fence: Fence): Promise<Outcome> {
  const args = ['-nostdin', '-f', 'rawvideo', '-video_size', '2x2', '-pixel_format', 'rgb24'];
  const output = ['-frames:v', '1', '-f', 'null', '-'];
  const command = fence.wrap('ffmpeg', [...args, '-i', INPUT_DESCRIPTOR, ...output], PROBE_LIMITS);
  const file = await open(fileURLToPath(import.meta.url), 'r');
  try {
    return await runOnce(command, file.fd, fence.env);
  } finally {
    await file.close();
  }
}

/** Of an ffmpeg that says no number, as those do that were built from its newest sources, infinite. */
function majorVersion(banner: string): number {
  const [, major, minor] = /^ffmpeg version n?(\d+)\.(\d+)/m.exec(banner) ?? [];
  if (major === undefined) return Number.POSITIVE_INFINITY;
  if (Number(major) > 5 || (major === '5' && Number(minor) >= 1)) return Number(major);
  throw new Error(`ffmpeg 5.1 or newer is needed, this is ${major}.${minor}`);
}

/** The decoders by their paths, and what can be put around them: bwrap, prlimit and setpriv, null where missing. */
async function locate(programs: DecoderPrograms) {
  const [ffmpeg, ffprobe, ...fences] = await which([
    programs.ffmpeg,
    programs.ffprobe,
    'bwrap',
    'prlimit',
    'setpriv',
  ]);
  if (ffmpeg && ffprobe) return { found: { ffmpeg, ffprobe }, fences };
  const missing = [ffmpeg ? [] : [programs.ffmpeg], ffprobe ? [] : [programs.ffprobe]].flat();
  throw new Error(
    `${missing.join(' and ')} not found on PATH: install ffmpeg, for example with apt-get install ffmpeg`,
  );
}

/** Real path of each program, or null. One shell looks all of them up, so that PATH is not read here. */
async function which(programs: readonly string[]): Promise<(string | null)[]> {
  const script = 'for program; do command -v -- "$program" || echo; done';
  const { stdout } = await runOnce(['/bin/sh', '-c', script, 'sh', ...programs]);
  const lines = stdout.split('\n');
  return Promise.all(programs.map((_, i) => (lines[i] ? realpath(lines[i]).catch(() => null) : null)));
}

interface Outcome {
  readonly ok: boolean;
  readonly timedOut: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end or to its deadline, and leaves nothing of its process group behind. */
function runOnce(command: readonly string[], stdin?: number, env?: NodeJS.ProcessEnv): Promise<Outcome> {
  const child = spawn(command[0]!, command.slice(1), {
    stdio: [stdin ?? 'ignore', 'pipe', 'pipe'],
    detached: true,
    env,
  });
  watch(child);
  const output = { stdout: '', stderr: '' };
  child.stdout?.on('data', (data: Buffer) => {
    output.stdout += data.toString();
  });
  child.stderr?.on('data', (data: Buffer) => {
    output.stderr += data.toString();
  });
  return new Promise((resolve) => {
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      killGroup(child);
    }, PROBE_TIMEOUT_MS);
    const end = (ok: boolean) => {
      clearTimeout(timer);
      resolve({ ok, timedOut, ...output });
    };
    child.once('error', () => end(false));
    child.once('close', (code) => end(code === 0));
  });
}

/** Decoders that run now; they do not outlive this process. */
const running = new Set<ChildProcess>();
process.on('exit', killDecoders);

/** Has a child, spawned detached, end with this process at the latest. */
export function watch(child: ChildProcess): void {
  running.add(child);
  const forget = () => running.delete(child);
  child.once('exit', forget).once('error', forget);
}

/** Kills all decoders of this process: for one that ends in a way in which it cannot clear up. */
export function killDecoders(): void {
  running.forEach(killGroup);
}

/** SIGKILL for a child and everything that it started; the child must have been spawned detached. */
export function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch (error) {
    // The whole group has ended by itself.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
