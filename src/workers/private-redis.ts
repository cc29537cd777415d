import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { RedisUnavailableError } from '../../queues/connection.js';
import { InputError } from '../errors.js';
import { isAlive, withLock } from './lock.js';

/** `sun_path` holds 108 bytes on Linux, 104 on macOS, with the final zero. */
const maxSocketBytes = process.platform === 'darwin' ? 103 : 107;
const servers = ['redis-server', 'valkey-server'];
/** How long a server may take to listen, and to end; loading its data is waited for. */
const patienceMs = 10_000;
/** How long a server that listens may take for an answer. */
const answerMs = 2_000;
const pollMs = 20;

interface Files {
  readonly folder: string;
  readonly socket: string;
  readonly pidFile: string;
  readonly logFile: string;
  readonly lockFile: string;
}

/**
 * Where the private server of a home folder listens.
 *
 * @throws InputError where the path is too long for a socket.
 */
export function socketOf(home: string): string {
  const socket = filesOf(home).socket;
  const bytes = Buffer.byteLength(socket);
  if (bytes <= maxSocketBytes) return socket;
  throw new InputError(
    `the path of a socket has at most ${maxSocketBytes} bytes, ${socket} has ${bytes}: ` +
      'set `VISIONZIP_HOME` to a folder with a shorter path',
    { fault: 'settings' },
  );
}

/**
 * Makes sure that one server runs on the home folder, and only one: it is adopted where it runs, else started.
 * It outlives this process.
 *
 * @returns whether this call started it.
 */
export async function startPrivateRedis(home: string): Promise<boolean> {
  const files = filesOf(home);
  if ((await stateOf(socketOf(home))) === 'ready') return false;
  await mkdir(files.folder, { recursive: true, mode: 0o700 });
  return withLock(files.lockFile, 2 * patienceMs, async () => {
    const isRunning = async () => (await runningPid(files)) !== null;
    if ((await stateOf(files.socket)) === 'gone' && !(await isRunning())) return launch(files);
    await untilReady(files, isRunning);
    return false;
  });
}

/** Has the server write its data and end. @returns false where none runs. */
export async function stopPrivateRedis(home: string): Promise<boolean> {
  const files = filesOf(home);
  const answer = await shutDown(files.socket);
  const isGone = (await stateOf(files.socket)) === 'gone';
  if (isGone && answer === 'ended') return true;
  const pid = await runningPid(files);
  if (isGone && pid === null) return false;
  if (pid !== null) process.kill(pid, 'SIGTERM'); // Redis takes it for SHUTDOWN.
  const end = Date.now() + patienceMs;
  while (pid !== null && Date.now() < end) {
    if ((await runningPid(files)) !== pid) return true;
    await pause(pollMs);
  }
  throw new Error(`the Redis server on ${files.socket} does not end: ${answer}; see ${files.logFile}`);
}

function filesOf(home: string): Files {
  const folder = join(home, 'redis');
  return {
    folder,
    socket: join(folder, 's'),
    pidFile: join(folder, 'pid'),
    logFile: join(folder, 'log'),
    lockFile: join(folder, 'starting'),
  };
}

async function launch(files: Files): Promise<true> {
  const child = await spawnServer([
    ...['--port', '0', '--unixsocket', files.socket, '--unixsocketperm', '700'],
    ...['--dir', files.folder, '--save', '', '--appendonly', 'yes'],
    ...['--maxmemory-policy', 'noeviction'],
    ...['--pidfile', files.pidFile, '--logfile', files.logFile],
  ]);
  child.unref();
  await untilReady(files, async () => child.exitCode === null && child.signalCode === null);
  return true;
}

async function spawnServer(args: readonly string[]): Promise<ChildProcess> {
  for (const server of servers) {
    const child = spawn(server, args, { detached: true, stdio: 'ignore' });
    const started = await once(child, 'spawn').then(
      () => true,
      (error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error;
        return false;
      },
    );
    if (started) return child;
  }
  throw new RedisUnavailableError(
    'no Redis: set `REDIS_URL`, or install a server, for example: sudo apt-get install redis-server',
  );
}

/** Waits until the server answers: as long as it loads its data, and else for some seconds while it runs. */
async function untilReady(files: Files, isRunning: () => Promise<boolean>): Promise<void> {
  let end = Date.now() + patienceMs;
  for (;;) {
    const state = await stateOf(files.socket);
    if (state === 'ready') return;
    if (state === 'loading') end = Date.now() + patienceMs;
    if (state === 'gone' && !(await isRunning())) break;
    if (Date.now() > end) break;
    await pause(pollMs);
  }
  const log = await readFile(files.logFile, 'utf8').catch(() => '');
  const last = log.trimEnd().split('\n').slice(-3).join('\n');
  throw new RedisUnavailableError(
    `the Redis server does not answer on ${files.socket}; its log ends:\n${last}`,
  );
}

async function stateOf(socket: string): Promise<'ready' | 'loading' | 'silent' | 'gone'> {
  const redis = await connect(socket, answerMs);
  if (redis === null) return 'gone';
  try {
    await redis.ping();
    return 'ready';
  } catch (error) {
    return (error as Error).message.startsWith('LOADING') ? 'loading' : 'silent';
  } finally {
    redis.disconnect();
  }
}

/** Asks the server itself to end: nothing else tells for certain which process it is. @returns why it does not end. */
async function shutDown(socket: string): Promise<string> {
  const redis = await connect(socket, patienceMs);
  if (redis === null) return 'gone';
  const ended = once(redis, 'end').then(() => 'ended'); // With the process, whose data are written by then.
  const refused = redis.call('SHUTDOWN').then(
    () => ended,
    (error: Error) => (error.message === 'Connection is closed.' ? ended : error.message),
  );
  return Promise.race([ended, refused]).finally(() => redis.disconnect());
}

/** @returns null where nobody listens. */
async function connect(socket: string, commandTimeout: number): Promise<Redis | null> {
  const redis = new Redis({
    path: socket,
    lazyConnect: true,
    enableReadyCheck: false,
    retryStrategy: () => null,
    commandTimeout,
  });
  redis.on('error', () => {}); // Whoever awaits a command hears of it.
  try {
    await redis.connect();
    return redis;
  } catch {
    return null;
  }
}

/** The process that serves these files, by its own pid file and its title, which names the socket. */
async function runningPid({ pidFile, socket }: Files): Promise<number | null> {
  const pid = Number.parseInt(await readFile(pidFile, 'utf8').catch(() => ''), 10);
  if (Number.isNaN(pid) || !isAlive(pid)) return null;
  return (await commandOf(pid)).includes(socket) ? pid : null;
}

async function commandOf(pid: number): Promise<string> {
  if (process.platform === 'linux') return readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  const { stdout } = await promisify(execFile)('ps', ['-ww', '-o', 'command=', '-p', `${pid}`]);
  return stdout;
}
