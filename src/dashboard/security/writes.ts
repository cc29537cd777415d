import type { RequestHandler } from 'express';
import { refuse } from '../problem.js';

const reading = new Set(['GET', 'HEAD', 'OPTIONS']);

export function isRead({ method }: { readonly method: string }): boolean {
  return reading.has(method);
}

/** Lets nothing be changed, whatever the path. */
export function refuseWrites(reason: string): RequestHandler {
  return (request, response, next) => {
    if (isRead(request)) return next();
    response.set('Allow', [...reading].join(', '));
    refuse(response, 405, `${reason}: expected GET, got ${request.method}`);
  };
}

/**
 * A page elsewhere can have a browser send a request that carries what the browser knows of its user. Browsers say where such
 * a request comes from; whoever is no browser says nothing, and has no such knowledge either.
 */
export function refuseForeignWrites(publicUrl: string | null): RequestHandler {
  const publicOrigin = publicUrl === null ? null : new URL(publicUrl).origin;
  return (request, response, next) => {
    if (isRead(request)) return next();
    const expected = publicOrigin ?? `http://${request.headers.host}`;
    const { origin = expected, 'sec-fetch-site': site = 'same-origin' } = request.headers;
    if (origin === expected && site === 'same-origin') return next();
    const found = `from ${JSON.stringify(origin)} (${String(site)})`;
    refuse(response, 403, `expected a request from a page of ${expected}, got one ${found}`);
  };
}

/**
 * A page elsewhere can have a browser load anything from here, too. It sees nothing of it, but it could keep the dashboard busy, or
 * learn from how long an answer takes. What it may do is to lead people here.
 */
export const refuseForeignReads: RequestHandler = (request, response, next) => {
  const { 'sec-fetch-site': site = 'none', 'sec-fetch-dest': goal } = request.headers;
  if (site === 'none' || site === 'same-origin' || goal === 'document') return next();
  refuse(
    response,
    403,
    `expected a request from a page of the dashboard, got one from elsewhere (${String(site)})`,
  );
};
