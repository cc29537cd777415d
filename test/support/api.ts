import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import express from 'express';
import type { z } from 'zod';
import { hastyClient, type RedisConnection } from '../../queues/connection.js';
import { type Api, type ApiParts, createApi } from '../../src/dashboard/api/index.js';
import { type LiveEvent, problemSchema } from '../../src/dashboard/api/schemas.js';
import type { Settings } from '../../src/settings.js';

/** The dashboard's API alone, without what guards it, on a port of its own. */
export interface TestApi {
  readonly api: Api;
  readonly url: string;
  fetch(path: string, init?: RequestInit): Promise<Response>;
  /** An answer that is well, held against its schema. */
  get<S extends z.ZodType>(path: string, schema: S): Promise<z.output<S>>;
  post<S extends z.ZodType>(path: string, schema: S, body?: unknown): Promise<z.output<S>>;
  /** What is answered to a request that cannot be met. */
  problem(path: string, body?: unknown): Promise<{ status: number; error: string }>;
  /** Events of `path` as they come, until `stop`. */
  listen(path: string): Promise<Heard>;
  close(): Promise<void>;
}

export interface Heard {
  readonly events: LiveEvent[];
  readonly ended: Promise<void>;
  stop(): void;
}

export async function openApi(
  settings: Settings,
  connection: RedisConnection,
  parts: Partial<ApiParts> = {},
): Promise<TestApi> {
  const redis = hastyClient(connection);
  const sessionOf = () => ({ csrf: 'token', isLoggedIn: false });
  const api = createApi({ settings, connection, redis, isReadOnly: false, sessionOf, ...parts });
  const server = express().use('/api', api.router).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/api`;
  const fetched: TestApi['fetch'] = (path, init) => fetch(url + path, init);
  const posted = (path: string, body: unknown) =>
    fetched(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  return {
    ...{ api, url, fetch: fetched },
    get: async (path, schema) => schema.parse(await wellOf(await fetched(path))),
    post: async (path, schema, body = {}) => schema.parse(await wellOf(await posted(path, body))),
    problem: async (path, body) => {
      const response = await (body === undefined ? fetched(path) : posted(path, body));
      return { status: response.status, ...problemSchema.parse(await response.json()) };
    },
    listen: (path) => listen(url + path),
    close: async () => {
      await api.close();
      server.closeAllConnections();
      server.close();
      redis.disconnect();
    },
  };
}

async function wellOf(response: Response): Promise<unknown> {
  const body = await response.text();
  if (!response.ok) throw new Error(`${response.status} ${body}`);
  return JSON.parse(body);
}

async function listen(url: string): Promise<Heard> {
  const left = new AbortController();
  const response = await fetch(url, { signal: left.signal });
  const events: LiveEvent[] = [];
  const read = async () => {
    let text = '';
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      const parts = (text + chunk).split('\n\n');
      text = parts.pop()!;
      for (const part of parts) if (part.startsWith('data: ')) events.push(JSON.parse(part.slice(6)));
    }
  };
  return { events, ended: read().catch(() => {}), stop: () => left.abort() };
}
