import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** How the server is to misbehave. */
export interface Faults {
  /** Cut the connection after so many bytes of a file's content, so many times. */
  cut?: { after: number; times: number };
  /** End the content after so many bytes as if that were all, so many times. */
  short?: { after: number; times: number };
  /** Say a digest that is not the file's. */
  wrongDigest?: string;
  /** Say that large files have so many bytes. */
  claimBytes?: number;
  /** Keep the content of large files at this server, as a content network does. */
  store?: string;
  /** Answer requests for content with 503, so many times. */
  busy?: number;
  /** Answer only who brings this token. */
  token?: string;
}

/** A hub with one model: the HTTP interface that @huggingface/hub speaks, files above 100 bytes by LFS and redirect. */
export class HubServer {
  readonly commit = 'c0ffee'.padEnd(40, '0');
  readonly requests: string[] = [];
  readonly authorizations: (string | undefined)[] = [];
  /** Bytes of content that were sent. */
  sent = 0;
  faults: Faults = {};
  readonly #server: Server;
  #port = 0;

  private constructor(
    readonly id: string,
    readonly files: ReadonlyMap<string, Buffer>,
    /** What the hub says of the model beside its files, such as `cardData` and `tags`. */
    readonly info: Readonly<Record<string, unknown>>,
  ) {
    this.#server = createServer((request, response) => this.#answer(request, response));
  }

  static async start(
    id: string,
    files: Readonly<Record<string, Buffer | string>>,
    info: Readonly<Record<string, unknown>> = {},
  ): Promise<HubServer> {
    const content = Object.entries(files).map(([path, data]) => [path, Buffer.from(data)] as const);
    const hub = new HubServer(id, new Map(content), info);
    await new Promise<void>((resolve) => hub.#server.listen(0, '127.0.0.1', resolve));
    hub.#port = (hub.#server.address() as AddressInfo).port;
    return hub;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #answer(request: IncomingMessage, response: ServerResponse): ServerResponse {
    const { pathname, searchParams } = new URL(request.url!, this.endpoint);
    const url = decodeURIComponent(pathname);
    this.requests.push(url);
    this.authorizations.push(request.headers.authorization);
    const store = '/store/';
    if (url.startsWith(store)) {
      // What the client looks at to tell a content network.
      response.setHeader('x-cache', 'Hit from cloudfront');
      const isProbe = request.headers.range === 'bytes=0-0';
      if (!isProbe && (this.faults.busy ?? 0) > 0) {
        this.faults.busy! -= 1;
        return fail(response, 503, 'Busy');
      }
      return this.#send(request, response, url.slice(store.length));
    }
    if (this.faults.token && request.headers.authorization !== `Bearer ${this.faults.token}`)
      return fail(response, 401, 'Invalid credentials');
    const tree = `/api/models/${this.id}/tree/${this.commit}`;
    const resolve = `/${this.id}/resolve/${this.commit}/`;
    if (url === `/api/models/${this.id}/revision/main`)
      return json(response, this.#info(searchParams.getAll('expand')));
    if (url === tree)
      return json(
        response,
        [...this.files].map(([path, data]) => this.#entry(path, data)),
      );
    if (url.startsWith(resolve)) return this.#resolve(request, response, url.slice(resolve.length));
    return fail(response, 404, 'Repository not found');
  }

  /** As the real one, it says nothing that is not asked for. */
  #info(expand: readonly string[]) {
    const all = { ...this.info, sha: this.commit, private: false, lastModified: '2026-01-01T00:00:00Z' };
    const asked = Object.entries(all).filter(([name]) => expand.includes(name));
    return { _id: '1', id: this.id, ...Object.fromEntries(asked) };
  }

  /** Files whose content was asked for, each once, in order of name. */
  get filesAsked(): string[] {
    const resolve = `/${this.id}/resolve/${this.commit}/`;
    const paths = this.requests.filter((url) => url.startsWith(resolve));
    return [...new Set(paths.map((url) => url.slice(resolve.length)))].sort();
  }

  #entry(path: string, data: Buffer) {
    const oid = createHash('sha1').update(`blob ${data.length}\0`).update(data).digest('hex');
    const entry = { type: 'file', path, size: data.length, oid };
    if (data.length <= 100) return entry;
    const sha256 = this.faults.wrongDigest ?? createHash('sha256').update(data).digest('hex');
    const size = this.faults.claimBytes ?? data.length;
    return { ...entry, size, lfs: { oid: sha256, size, pointerSize: 130 } };
  }

  #resolve(request: IncomingMessage, response: ServerResponse, path: string): ServerResponse {
    const data = this.files.get(path);
    if (!data) return fail(response, 404, 'Entry not found');
    if (data.length <= 100) return this.#send(request, response, path);
    return response.writeHead(302, { location: `${this.faults.store ?? this.endpoint}/store/${path}` }).end();
  }

  /** The content, or the range of it that is asked for. */
  #send(request: IncomingMessage, response: ServerResponse, path: string): ServerResponse {
    const data = this.files.get(path)!;
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    const start = Number(first ?? 0);
    const end = Math.min(Number(last ?? data.length - 1), data.length - 1);
    const part = data.subarray(start, end + 1);
    const { short } = this.faults;
    const isShort = short !== undefined && short.times > 0 && part.length > short.after;
    response.writeHead(first === undefined ? 200 : 206, {
      etag: '"1"',
      // Without a length, the end of what comes is the end of the file.
      ...(!isShort && { 'content-length': part.length }),
      ...(first !== undefined && { 'content-range': `bytes ${start}-${end}/${data.length}` }),
    });
    const { cut } = this.faults;
    if (cut && cut.times > 0 && part.length > cut.after) {
      cut.times -= 1;
      this.sent += cut.after;
      response.write(part.subarray(0, cut.after), () => setImmediate(() => request.socket.destroy()));
      return response;
    }
    if (isShort) {
      short.times -= 1;
      return response.end(part.subarray(0, short.after));
    }
    this.sent += part.length;
    return response.end(part);
  }
}

function json(response: ServerResponse, value: unknown): ServerResponse {
  return response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

function fail(response: ServerResponse, status: number, error: string): ServerResponse {
  return response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ error }));
}
