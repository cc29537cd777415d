import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { type RequestHandler, Router } from 'express';
import { compiledEntry } from '../workers/entry.js';

/** What the one page shows by itself once its script runs; any other path is not found. */
const pages = /^\/(jobs(\/[^/]+)?|errors|datasets(\/[^/]+)?|compare|versus|health)?\/?$/;
const year = 365 * 24 * 3600;

interface Asset {
  readonly body: Buffer;
  readonly digest: string;
}

/** The page, and what it loads, as the build left them. Both are read once. */
export function pageRoutes(base: string): Router {
  const assets = readAssets();
  const shell = shellOf(assets, base);
  const router = Router();
  router.get('/assets/:name', (request, response, next) => {
    const asset = assets.get(request.params.name);
    if (!asset) return next();
    const isNamedByDigest = request.query.v === asset.digest;
    response.type(request.params.name).set({
      'Cache-Control': isNamedByDigest ? `private, max-age=${year}, immutable` : 'no-cache',
      ETag: `"${asset.digest}"`,
    });
    response.send(asset.body);
  });
  const showPage: RequestHandler = (request, response, next) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') return next();
    response
      .status(pages.test(request.path) ? 200 : 404)
      .type('html')
      .send(shell);
  };
  router.use(showPage);
  return router;
}

/** @throws Error where they were not built. */
function readAssets(): ReadonlyMap<string, Asset> {
  const folder = dirname(compiledEntry('assets/index.html', import.meta.url));
  try {
    return new Map(readdirSync(folder).map((name) => [name, readAsset(`${folder}/${name}`)]));
  } catch (cause) {
    throw new Error(`expected the dashboard's pages in ${folder}: npm run build`, { cause });
  }
}

function readAsset(path: string): Asset {
  const body = readFileSync(path);
  return { body, digest: createHash('sha256').update(body).digest('hex').slice(0, 16) };
}

/** The page with what differs from place to place: what its links are relative to, and the digests of what it loads. */
function shellOf(assets: ReadonlyMap<string, Asset>, base: string): string {
  const html = assets.get('index.html')?.body.toString('utf8') ?? '';
  const withBase = html.replace(/<base\b[^>]*>\s*/i, '').replace(/<head>/i, `<head><base href="${base}/">`);
  return withBase.replace(/((?:src|href)="\/?assets\/)([^"?]+)"/g, (found, start: string, name: string) => {
    const asset = assets.get(name);
    return asset ? `${start.replace('"/', '"')}${name}?v=${asset.digest}"` : found;
  });
}
