import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { ExpressAdapter } from '@bull-board/express';
import { Queue } from 'bullmq';
import express, { type Express, type RequestHandler } from 'express';
import { addressOf, connected, hastyClient, type RedisConnection } from '../../queues/connection.js';
import { Documents } from '../../queues/documents.js';
import { keysOf } from '../../queues/options.js';
import { completeSettings, type SettingsInput } from '../settings.js';
import { ensureRedis } from '../workers/redis.js';
import { type Api, createApi } from './api/index.js';
import { shortened } from './shortened.js';

export interface DashboardOptions {
  /** Of the queue that is shown; what is left out has its default. The environment is not read. */
  readonly settings?: SettingsInput;
  /** Default: as the settings say; a private server is started where none runs. */
  readonly connection?: RedisConnection;
  /** Default 127.0.0.1: there is no login. */
  readonly host?: string;
  /** Default 3000; 0 takes a free one. */
  readonly port?: number;
}

export interface Dashboard {
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Serves bull-board's page of the queue, and the documents of finished jobs under `/results/<job id>`. Nothing
 * can be changed through it.
 *
 * @throws RedisUnavailableError; the system's error where the port is taken
 */
export async function startDashboard(options: DashboardOptions = {}): Promise<Dashboard> {
  const { host = '127.0.0.1', port = 3000 } = options;
  const settings = completeSettings(options.settings ?? {});
  const connection = options.connection ?? (await ensureRedis(settings)).connection;
  const redis = hastyClient(connection);
  try {
    await connected(redis, addressOf(connection));
    const queue = new Queue(settings.queue, { connection: redis, prefix: settings.prefix });
    queue.on('error', () => {}); // Each request that fails says so.
    const documents = new Documents(
      redis,
      keysOf(settings.prefix, settings.queue),
      settings.retentionSeconds,
    );
    const sessionOf = () => ({ csrf: '', isLoggedIn: false });
    const api = createApi({ settings, connection, redis, isReadOnly: true, sessionOf });
    const server = await listening(appOf(queue, documents, host, api), host, port);
    const { address, family, port: taken } = server.address() as AddressInfo;
    return {
      url: `http://${family === 'IPv6' ? `[${address}]` : address}:${taken}/`,
      close: async () => {
        server.closeAllConnections();
        server.close();
        await api.close();
        await queue.close();
        redis.disconnect();
      },
    };
  } catch (error) {
    redis.disconnect();
    throw error;
  }
}

function appOf(queue: Queue, documents: Documents, host: string, api: Api): Express {
  const adapter = new BullMQAdapter(queue, {
    readOnlyMode: true,
    externalJobUrl: ({ id }) => ({ displayText: 'Result', href: `/results/${id}` }),
  });
  for (const field of ['data', 'returnValue', 'progress'] as const) adapter.setFormatter(field, shortened);
  const board = new ExpressAdapter();
  createBullBoard({
    queues: [adapter],
    serverAdapter: board,
    options: { uiConfig: { boardTitle: 'VisionZip' } },
  });

  const app = express();
  app.disable('x-powered-by');
  app.use(refuseForeignHosts(host), refuseForeignContent);
  app.get('/results/:id', async (request, response) => {
    const document = await documents.read(String(request.params.id));
    if (document) response.json(document);
    else response.status(404).json({ error: `no result of a job ${request.params.id}` });
  });
  app.use('/api', skipBoard(api.router));
  app.use(board.getRouter());
  return app;
}

/** The board has its own routes below /api. */
function skipBoard(router: RequestHandler): RequestHandler {
  return (request, response, next) => {
    if (/^\/queues(\/|\?|$)|^\/redis/.test(request.url)) next();
    else router(request, response, next);
  };
}

/** A page elsewhere could else point a name of its own at this address and read along with the browser. */
function refuseForeignHosts(host: string): RequestHandler {
  const isOpen = host === '0.0.0.0' || host === '::';
  const names = new Set(['localhost', '127.0.0.1', '[::1]', host, `[${host}]`]);
  return (request, response, next) => {
    const base = `http://${request.headers.host}`;
    if (isOpen || (URL.canParse(base) && names.has(new URL(base).hostname))) next();
    else response.status(403).type('text').send(`expected the host ${host}, got ${request.headers.host}\n`);
  };
}

/** The page loads nothing from elsewhere, fonts included, and is shown in no other page. */
const refuseForeignContent: RequestHandler = (_request, response, next) => {
  response.set({
    'Content-Security-Policy':
      "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'",
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
  });
  next();
};

async function listening(app: Express, host: string, port: number): Promise<Server> {
  const server = app.listen(port, host);
  await once(server, 'listening');
  return server;
}
