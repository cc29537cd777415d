import { spawnSync } from 'node:child_process';

const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

/** Says what to install where `findChromium` finds nothing. */
export const chromiumAdvice =
  'expected Chromium as CHROME_PATH says, or as chromium, chromium-browser or google-chrome on PATH; ' +
  'install it, for example: sudo apt-get install -y --no-install-recommends chromium';

/** The path of the first Chromium that there is: `preferred`, else by its usual names on PATH; null where there is none. */
export function findChromium(preferred?: string): string | null {
  const wanted = preferred ? [preferred] : names;
  for (const name of wanted) {
    const { status, stdout } = spawnSync('sh', ['-c', 'command -v "$0"', name], { encoding: 'utf8' });
    if (status === 0) return stdout.trim();
  }
  return null;
}

/** How it is started: root, as in containers, has no sandbox, and /dev/shm is often too small there. */
export const chromiumArguments: readonly string[] = [
  ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
  '--disable-dev-shm-usage',
];
