import { isIP, isIPv6 } from 'node:net';
import { hostname } from 'node:os';
import type { RequestHandler } from 'express';
import { refuse } from '../problem.js';

/**
 * A page elsewhere could else point a name of its own at this address and read along with the browser. Allowed are the names
 * of loopback, the address that is listened on, and the name in the public URL. Who listens on all addresses may be called by
 * any address, which no name can be pointed at, and by the name of this machine.
 */
export function refuseForeignHosts(host: string, publicUrl: string | null): RequestHandler {
  const isEverywhere = host === '0.0.0.0' || host === '::';
  const names = new Set(['localhost', '127.0.0.1', '[::1]', nameOf(host)]);
  if (isEverywhere) names.add(hostname().toLowerCase());
  if (publicUrl !== null) names.add(new URL(publicUrl).hostname);
  const isAllowed = (name: string) =>
    names.has(name) || (isEverywhere && isIP(name.replace(/^\[|\]$/g, '')) !== 0);
  return (request, response, next) => {
    const base = `http://${request.headers.host}`;
    if (URL.canParse(base) && isAllowed(new URL(base).hostname)) return next();
    const found = JSON.stringify(request.headers.host ?? '');
    refuse(response, 403, `expected a request to ${publicUrl ?? host}, got one to ${found}`);
  };
}

/** As `URL` has the name of an address: an IPv6 address can be written in many ways. */
function nameOf(host: string): string {
  const base = `http://${isIPv6(host) ? `[${host.replace(/%.*/, '')}]` : host}`;
  return URL.canParse(base) ? new URL(base).hostname : host.toLowerCase();
}
