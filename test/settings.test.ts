import { readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { InputError } from '../src/errors.js';
import { defaultLimits } from '../src/media/open.js';
import { readSettings, settingsVariables } from '../src/settings.js';
import { temporaryFolder } from './media.js';
import { makeCertificate } from './support/servers.js';

it('has a default for every setting', () => {
  const settings = readSettings({ XDG_STATE_HOME: '/state', XDG_CACHE_HOME: '/cache' });
  expect(settings).toMatchObject({
    redis: null,
    home: '/state/visionzip',
    prefix: 'visionzip',
    queue: 'ask',
    videoDirs: [process.cwd()],
    modelDirs: [`${process.cwd()}/models`, '/cache/huggingface/visionzip'],
    provider: 'cpu',
    hub: { endpoint: 'https://huggingface.co', token: null, modelsDir: '/cache/huggingface/visionzip' },
    concurrency: 1,
    attempts: 3,
    retentionSeconds: 604_800,
    lockMs: 10_000,
    stalledCheckMs: 5_000,
    maxStalledCount: 1_000,
    maxStartedAttempts: 10,
    limits: defaultLimits,
  });
  expect(Object.values(settings)).not.toContain(undefined);
});

it('reads each variable', () => {
  const settings = readSettings({
    REDIS_URL: 'rediss://user:secret@redis.example:6380/2',
    VISIONZIP_HOME: '/home/visionzip',
    VISIONZIP_VIDEO_DIRS: ['/videos', 'clips'].join(delimiter),
    VISIONZIP_CONCURRENCY: '4',
    VISIONZIP_THREADS: '3',
    VISIONZIP_MAX_SECONDS: '60',
    VISIONZIP_LOG_LEVEL: 'debug',
    VISIONZIP_QUEUE: '',
    VISIONZIP_PROVIDER: 'cuda',
    HF_ENDPOINT: 'http://hub.example:8080/',
    HF_TOKEN: 'hf_secret',
    HF_HOME: 'cache',
  });
  expect(settings).toMatchObject({
    redis: { url: 'rediss://user:secret@redis.example:6380/2' },
    home: '/home/visionzip',
    videoDirs: ['/videos', `${process.cwd()}/clips`],
    concurrency: 4,
    threads: 3,
    logLevel: 'debug',
    queue: 'ask',
    provider: 'cuda',
    hub: {
      endpoint: 'http://hub.example:8080',
      token: 'hf_secret',
      modelsDir: `${process.cwd()}/cache/visionzip`,
    },
  });
  expect(settings.limits).toEqual({ ...defaultLimits, maxSeconds: 60 });
});

describe('the files of TLS', () => {
  const folder = temporaryFolder();
  const own = makeCertificate(join(folder, 'own'));
  const other = makeCertificate(join(folder, 'other'));
  const REDIS_URL = 'rediss://redis.example';

  it('go with a URL of TLS', () => {
    const { redis } = readSettings({
      ...{ REDIS_URL, VISIONZIP_REDIS_CA: other.certFile },
      ...{ VISIONZIP_REDIS_CERT: own.certFile, VISIONZIP_REDIS_KEY: own.keyFile },
    });
    const [ca, cert, key] = [other.certFile, own.certFile, own.keyFile].map((file) =>
      readFileSync(file, 'utf8'),
    );
    expect(redis).toEqual({ url: REDIS_URL, tls: { ca, cert, key } });
  });

  it.each([
    [
      { VISIONZIP_REDIS_CA: '/nowhere.pem' },
      'VISIONZIP_REDIS_CA: expected a PEM file that can be read (ENOENT)',
    ],
    [
      { VISIONZIP_REDIS_CA: own.certFile, REDIS_URL: 'redis://a' },
      'REDIS_URL: expected one with TLS, such as rediss://',
    ],
    [
      { VISIONZIP_REDIS_CERT: own.certFile },
      'VISIONZIP_REDIS_CERT, VISIONZIP_REDIS_KEY: expected both or none',
    ],
    [
      { VISIONZIP_REDIS_CERT: own.certFile, VISIONZIP_REDIS_KEY: other.keyFile },
      'expected PEM files, the key that of the certificate',
    ],
  ])('are refused where they do not go together: %o', (env, sentence) => {
    expect(() => readSettings({ REDIS_URL, ...env })).toThrow(sentence);
  });
});

it.each([
  ['redis+sentinel://host', 'expected the name of the master behind the sentinels'],
  ['redis+cluster://one,two/3', 'expected no path: a cluster has no databases'],
  ['redis://one,two', 'expected a URL such as'],
  ['redis+cluster://:p/ss@one', 'percent-encoded'],
])('refuses %s as the address of Redis', (REDIS_URL, sentence) => {
  expect(() => readSettings({ REDIS_URL })).toThrow(sentence);
});

it('shares the cores among the model processes', () => {
  expect(readSettings({ VISIONZIP_CONCURRENCY: '64' }).threads).toBe(1);
  expect(readSettings({}).threads).toBeGreaterThan(0);
});

it('names every wrong variable with what was expected and what was found, but no password', () => {
  const wrong = {
    REDIS_URL: 'http://user:secret@redis.example',
    VISIONZIP_CONCURRENCY: '0',
    VISIONZIP_ATTEMPTS: 'three',
    VISIONZIP_PREFIX: 'a:b',
    VISIONZIP_LOG_LEVEL: 'loud',
  };
  const read = () => readSettings(wrong);
  expect(read).toThrow(InputError);
  expect(read).toThrow('VISIONZIP_CONCURRENCY: expected a whole number from 1 to 64, got "0"');
  expect(read).toThrow('VISIONZIP_ATTEMPTS: expected a whole number from 1 to 100, got "three"');
  expect(read).toThrow('VISIONZIP_PREFIX: expected letters, digits and "_ . - { }", got "a:b"');
  expect(read).toThrow(/VISIONZIP_LOG_LEVEL: expected fatal, .*, silent, got "loud"/);
  expect(read).toThrow('REDIS_URL: expected a URL that begins with redis:// or rediss://, ');
  expect(read).not.toThrow(/secret|redis\.example/);
});

it('documents each variable with its meaning and default', () => {
  const names = settingsVariables.map(({ name }) => name);
  expect(names).toContain('VISIONZIP_VIDEO_DIRS');
  expect(new Set(names).size).toBe(names.length);
  for (const variable of settingsVariables) expect(variable.default).not.toContain('null');
  expect(settingsVariables.find(({ name }) => name === 'VISIONZIP_LOCK_MS')).toEqual({
    name: 'VISIONZIP_LOCK_MS',
    meaning: "how long a worker's claim on a job holds unrenewed",
    default: '`10000`',
  });
});

describe('the settings of the dashboard and of metrics', () => {
  it('are a credential, a URL, a base path, and a port', () => {
    const settings = readSettings({
      VISIONZIP_DASHBOARD_AUTH: 'basic:ada:love:lace 1815',
      VISIONZIP_DASHBOARD_URL: 'https://dash.example/visionzip/',
      VISIONZIP_DASHBOARD_BASE: '/visionzip/',
      VISIONZIP_DASHBOARD_READ_ONLY: '1',
      VISIONZIP_METRICS_PORT: '9464',
      VISIONZIP_METRICS_HOST: '0.0.0.0',
    });
    expect(settings.dashboard).toEqual({
      credential: { scheme: 'basic', user: 'ada', password: 'love:lace 1815' },
      publicUrl: 'https://dash.example/visionzip/',
      base: '/visionzip',
      isReadOnly: true,
    });
    expect(settings.metrics).toEqual({ host: '0.0.0.0', port: 9464 });
    const bearer = readSettings({ VISIONZIP_DASHBOARD_AUTH: 'bearer:abc.DEF_1234=' }).dashboard.credential;
    expect(bearer).toEqual({ scheme: 'bearer', token: 'abc.DEF_1234=' });
    expect(readSettings({}).dashboard).toEqual({
      ...{ credential: null, publicUrl: null, base: null, isReadOnly: false },
    });
  });

  it.each([
    [
      'AUTH',
      [
        'ada:lovelace',
        'basic:ada',
        'basic::lovelace',
        'basic:ada:short',
        'bearer:with space',
        'bearer:short',
      ],
    ],
    [
      'URL',
      [
        'dash.example',
        'ftp://dash.example',
        'https://a:b@dash.example',
        'https://dash.example/?a',
        'https://dash.example/a b',
      ],
    ],
    ['BASE', ['visionzip', '/a b', '//a', '/a/../b', '/"><script>', 'https://a']],
    ['READ_ONLY', ['yes', '2']],
  ])('refuse a wrong %s, without showing a secret', (name, values) => {
    for (const value of values) {
      const read = () => readSettings({ [`VISIONZIP_DASHBOARD_${name}`]: value });
      expect(read, value).toThrow(`VISIONZIP_DASHBOARD_${name}: expected`);
      if (name === 'AUTH') expect(read).not.toThrow(value);
    }
  });
});
