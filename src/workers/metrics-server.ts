import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';
import { InputError } from '../errors.js';

interface MetricsServerParts {
  readonly registry: Registry;
  /** Why no job would be taken now, as a sentence; null where one would. */
  faultNow(): string | null;
}

export interface MetricsServer {
  readonly url: string;
  close(): void;
}

/**
 * Serves `/metrics`, `/healthz` (the process answers) and `/readyz` (jobs are taken).
 *
 * @throws InputError where it cannot listen there.
 */
export async function serveMetrics(
  { host, port }: { readonly host: string; readonly port: number },
  parts: MetricsServerParts,
): Promise<MetricsServer> {
  const server = createServer(listenerOf(parts, host));
  try {
    server.listen(port, host);
    await once(server, 'listening');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new InputError(`cannot listen on ${host}:${port} for metrics (${code})`, { fault: 'settings' });
  }
  return { url: urlOf(server), close: () => void server.close().closeAllConnections() };
}

function listenerOf({ registry, faultNow }: MetricsServerParts, host: string): RequestListener {
  const say = async (path: string): Promise<[status: number, text: string]> => {
    if (path === '/healthz') return [200, 'ok\n'];
    if (path === '/metrics') return [200, await registry.metrics()];
    if (path !== '/readyz') return [404, 'expected /metrics, /healthz or /readyz\n'];
    const fault = faultNow();
    return fault === null ? [200, 'ok\n'] : [503, `${fault}\n`];
  };
  return (request, response) => {
    const answer = (status: number, text: string, type = 'text/plain; charset=utf-8') =>
      response.writeHead(status, { 'content-type': type }).end(text);
    if (isForeign(request.headers.host, host)) return answer(403, `expected a request to ${host}\n`);
    if (request.method !== 'GET' && request.method !== 'HEAD') return answer(405, 'expected GET\n');
    const path = (request.url ?? '').replace(/\?.*/s, '');
    say(path).then(
      ([status, text]) => answer(status, text, path === '/metrics' ? registry.contentType : undefined),
      (error: Error) => answer(500, `${error.message}\n`),
    );
  };
}

/** On loopback a page elsewhere could point a name of its own at this address, and read along with the browser. */
function isForeign(named: string | undefined, host: string): boolean {
  const names = ['localhost', '127.0.0.1', '[::1]'];
  if (!names.includes(host) && host !== '::1') return false;
  return !URL.canParse(`http://${named}`) || !names.includes(new URL(`http://${named}`).hostname);
}

function urlOf(server: Server): string {
  const { address, family, port } = server.address() as AddressInfo;
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}/`;
}
