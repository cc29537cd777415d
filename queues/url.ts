import type { RedisConnection } from './connection.js';

const example =
  'redis://127.0.0.1:6379, redis+cluster://a:6379,b:6379 or redis+sentinel://a:26379,b:26379/name';
/** Scheme, user and password, places, and the rest. */
const form = /^redis(s?)(?:\+(cluster|sentinel))?:\/\/(?:([^/?#]*)@)?([^/?#@]*)(.*)$/s;

interface Parts {
  readonly secure: boolean;
  readonly kind: 'cluster' | 'sentinel' | undefined;
  /** A URL of each place, with all that belongs to every one. */
  readonly urls: readonly string[];
}

/** What is wrong with a URL, without a part of it: any part may be of the password. Null where nothing is. */
export function faultOfUrl(url: string): string | null {
  const [, scheme, authority] = /^(rediss?(?:\+cluster|\+sentinel)?:)\/\/(.*)$/s.exec(url) ?? [];
  if (scheme === undefined || authority === undefined) {
    return 'expected a URL that begins with redis:// or rediss://, redis+cluster:// or redis+sentinel:// (rediss+… with TLS)';
  }
  // A password that holds one of these ends the address for whoever parses it, and what follows becomes the host.
  const end = authority.search(/[/?#]/);
  if (end >= 0 && /[@#]/.test(authority.slice(end))) {
    return 'expected a URL whose user and password are percent-encoded: "/" is %2F, "?" is %3F, "#" is %23, "@" is %40';
  }
  const parts = partsOf(url);
  if (parts === null || !parts.urls.every((one) => URL.canParse(one)))
    return `expected a URL such as ${example}`;
  if (!canDecode(authority)) {
    return 'expected a URL whose user and password are percent-encoded: "%" is %25';
  }
  return faultOfPath(parts);
}

/** The connection as ioredis takes it: a URL that names a cluster's nodes or sentinels is taken apart. */
export function takeApart({ url, ...options }: RedisConnection): RedisConnection {
  const parts = url === undefined ? null : partsOf(url);
  if (url === undefined || !parts?.kind) return url === undefined ? options : { url, ...options };
  const urls = parts.urls.map((one) => new URL(one));
  const { username, password, pathname, searchParams } = urls[0]!;
  const places = urls.map(({ hostname, port }) => ({
    host: hostname.replace(/^\[(.*)\]$/, '$1'),
    ...(port !== '' && { port: Number(port) }),
  }));
  const tls = parts.secure ? { tls: options.tls ?? {} } : {};
  const login = {
    ...(username !== '' && { username: decodeURIComponent(username) }),
    ...(password !== '' && { password: decodeURIComponent(password) }),
    ...Object.fromEntries(searchParams),
  };
  if (parts.kind === 'cluster') return { cluster: places, ...login, ...tls, ...options };
  const [name, db] = pathname.slice(1).split('/');
  const sentinelTls = parts.secure ? { sentinelTLS: tls.tls, enableTLSForSentinelMode: true } : {};
  return {
    ...{ sentinels: places, name: decodeURIComponent(name!), ...(db && { db: Number(db) }) },
    ...{ ...login, ...tls, ...sentinelTls, ...options },
  };
}

function partsOf(url: string): Parts | null {
  const [, secure, kind, login, places, rest] = form.exec(url) ?? [];
  if (places === undefined) return null;
  const hosts = places.split(',');
  if (kind === undefined && hosts.length > 1) return null;
  const before = login === undefined ? 'redis://' : `redis://${login}@`;
  return {
    secure: secure === 's',
    kind: kind as Parts['kind'],
    urls: hosts.map((host) => `${before}${host}${rest}`),
  };
}

function faultOfPath({ kind, urls }: Parts): string | null {
  const path = new URL(urls[0]!).pathname;
  if (kind === 'sentinel' && !/^\/[^/]+(\/\d+)?$/.test(path)) {
    return 'expected the name of the master behind the sentinels, such as redis+sentinel://a:26379,b:26379/name';
  }
  if (kind === 'cluster' && !/^(\/0?)?$/.test(path)) return 'expected no path: a cluster has no databases';
  return null;
}

function canDecode(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}
