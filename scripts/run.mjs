// Sets up what a fresh machine lacks, compiles, and runs one of the project's scripts:
//
//   node scripts/run.mjs                  set up only
//   node scripts/run.mjs NAME [ARG...]    set up, then dist/scripts/NAME.js
//   node scripts/run.mjs --exec CMD ...   set up, then a command of node_modules/.bin
//
// Plain JavaScript without dependencies, since it runs before anything is installed or compiled. Everything it
// says goes to standard error, so that a script's standard output stays its own.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, lstatSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const [name, ...rest] = process.argv.slice(2);

requireNode(20, 19);
installPackages();
installSystemTools();
run(process.execPath, [join(root, 'scripts/build.mjs')]);
if (name === '--exec') {
  const [command, ...args] = rest;
  handOver(join(root, 'node_modules/.bin', command), args);
} else if (name) {
  handOver(process.execPath, [join(root, 'dist/scripts', `${name}.js`), ...rest]);
}

function requireNode(major, minor) {
  const [haveMajor, haveMinor] = process.versions.node.split('.').map(Number);
  if (haveMajor > major || (haveMajor === major && haveMinor >= minor)) return;
  fail(`Node ${major}.${minor} or newer is needed, this is ${process.versions.node}: see https://nodejs.org`);
}

/** `npm ci` where node_modules is missing or was made from another lock file. */
function installPackages() {
  const stamp = join(root, 'node_modules/.package-lock.json');
  if (existsSync(stamp) && sameVersions(stamp)) return;
  // A second work tree may share the packages of another: `npm ci` would empty them there first.
  if (lstatSync(join(root, 'node_modules'), { throwIfNoEntry: false })?.isSymbolicLink()) {
    fail(
      'expected node_modules of this lock file, found a link to others: remove it, or install where it points',
    );
  }
  say('installing the npm packages');
  run(process.platform === 'win32' ? 'npm.cmd' : 'npm', ['ci', '--no-audit', '--no-fund'], {
    ONNXRUNTIME_NODE_INSTALL: 'skip',
  });
}

function sameVersions(stamp) {
  const versions = (file) =>
    Object.entries(JSON.parse(readFileSync(file, 'utf8')).packages)
      .filter(([path, entry]) => path !== '' && !entry.optional)
      .map(([path, entry]) => `${path}@${entry.version}`)
      .join();
  return versions(stamp) === versions(join(root, 'package-lock.json'));
}

/** ffmpeg and a Redis server, by apt where this user may install packages; else the line to type. */
function installSystemTools() {
  const needed = [];
  if (!has('ffmpeg') || !has('ffprobe')) needed.push('ffmpeg');
  const redisElsewhere = process.env.REDIS_URL || has('valkey-server');
  if (!redisElsewhere && !has('redis-server')) needed.push('redis-server');
  if (needed.length === 0) return;
  const apt = ['apt-get', 'install', '-y', '--no-install-recommends', ...needed];
  const sudo = process.getuid?.() === 0 ? [] : ['sudo', '-n'];
  const mayInstall = has('apt-get') && runToEnd('sh', ['-c', [...sudo, 'true'].join(' ')]).status === 0;
  if (!mayInstall) fail(`please install ${needed.join(' and ')}, for example: sudo ${apt.join(' ')}`);
  say(`installing ${needed.join(' and ')}`);
  const quiet = { DEBIAN_FRONTEND: 'noninteractive' };
  run([...sudo, 'apt-get'][0], [...sudo, 'apt-get', 'update', '-q'].slice(1), quiet);
  run([...sudo, ...apt][0], [...sudo, ...apt].slice(1), quiet);
}

function has(command) {
  return runToEnd('sh', ['-c', `command -v ${command}`]).status === 0;
}

function runToEnd(command, args, stdio = 'ignore', environment = {}) {
  return spawnSync(command, args, { cwd: root, stdio, env: { ...process.env, ...environment } });
}

function run(command, args, environment) {
  const result = runToEnd(command, args, ['ignore', 2, 2], environment);
  if (result.status !== 0) {
    fail(`failed: ${command} ${args.join(' ')}${result.error ? ` (${result.error.message})` : ''}`);
  }
}

/** The command in place of this process: it hears its signals, and ends it in its own way. */
function handOver(command, args) {
  const child = spawn(command, args, { cwd: root, stdio: 'inherit' });
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) {
    // Of Ctrl-C the terminal itself tells the child.
    process.on(signal, () => (signal === 'SIGINT' && process.stdin.isTTY) || child.kill(signal));
  }
  child.once('error', (error) => fail(`failed: ${command} (${error.message})`));
  child.once('exit', (code, killedBy) => {
    for (const signal of signals) process.removeAllListeners(signal);
    if (killedBy) process.kill(process.pid, killedBy);
    process.exitCode = code ?? 1;
  });
}

function say(text) {
  process.stderr.write(`setup: ${text}\n`);
}

function fail(text) {
  say(text);
  process.exit(1);
}
