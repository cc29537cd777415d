import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Queue } from 'bullmq';
import type { Request } from 'express';
import { type Logger, pino } from 'pino';
import {
  addressOf,
  connected,
  hastyClient,
  type RedisClient,
  type RedisConnection,
} from '../../queues/connection.js';
import { InputError } from '../errors.js';
import {
  completeSettings,
  type DashboardSettings,
  readVariable,
  type Settings,
  type SettingsInput,
} from '../settings.js';
import { ensureRedis } from '../workers/redis.js';
import { createApi } from './api/index.js';
import { type Access, appOf } from './app.js';
import { checkAddress } from './security/address.js';
import { Sessions } from './security/sessions.js';

export interface DashboardOptions {
  /** Of the queue that is shown, and of the dashboard; what is left out has its default. The environment is not read. */
  readonly settings?: SettingsInput;
  /** Default: as the settings say; a private server is started where none runs. */
  readonly connection?: RedisConnection;
  /** Default 127.0.0.1. Others than this machine's own addresses need a credential in the settings. */
  readonly host?: string;
  /** Default 3000; 0 takes a free one. */
  readonly port?: number;
  /** Whether bull-board, below `/queues`, may change jobs; default false. */
  readonly boardWrites?: boolean;
  /** Default: pino on standard error, at the level `logLevel` of the settings. */
  readonly logger?: Logger;
}

export interface Dashboard {
  /** By which this machine reaches it. */
  readonly url: string;
  close(): Promise<void>;
}

/** How long answers under way may take once the dashboard closes, in milliseconds. */
const farewellMs = 1_000;

/**
 * Serves the dashboard.
 *
 * @throws RedisUnavailableError; InputError where others could reach it without a login; the system's error where the port is
 *   taken
 */
export async function startDashboard(options: DashboardOptions = {}): Promise<Dashboard> {
  const { host = '127.0.0.1', port = 3000 } = options;
  const settings = completeSettings(options.settings ?? {});
  const access = accessOf(settings.dashboard, host, options.boardWrites ?? false);
  const logger =
    options.logger ?? pino({ name: 'visionzip-dashboard', level: settings.logLevel }, pino.destination(2));
  const connection = options.connection ?? (await ensureRedis(settings)).connection;
  const redis = hastyClient(connection);
  await connected(redis, addressOf(connection)).catch((error) => {
    redis.disconnect();
    throw error;
  });
  const { server, end } = assemble({ settings, access, connection, redis, logger });
  try {
    server.listen(port, host);
    await once(server, 'listening');
  } catch (error) {
    await end();
    throw error;
  }
  return { url: urlOf(server, access.base), close: end };
}

interface Parts {
  readonly settings: Settings;
  readonly access: Access;
  readonly connection: RedisConnection;
  readonly redis: RedisClient;
  readonly logger: Logger;
}

/** The server, which does not listen yet, and what ends it and all that works for it. */
function assemble({ settings, access, connection, redis, logger }: Parts) {
  const queue = new Queue(settings.queue, { connection: redis, prefix: settings.prefix });
  queue.on('error', () => {}); // Each request that fails says so.
  const isSecure = access.publicUrl?.startsWith('https:') ?? false;
  const sessions = new Sessions({ path: access.base || '/', isSecure });
  const sessionOf = (request: Request) => sessions.describe(request);
  const { isReadOnly } = access;
  const api = createApi({ settings, connection, redis, isReadOnly, sessionOf, logger });
  const ping = () => connected(redis, addressOf(connection)).then(() => redis.ping());
  const server = createServer(appOf({ access, sessions, queue, api, ping, logger }));
  const end = async () => {
    const left = server.listening ? closed(server) : null;
    await api.close(); // Ends the streams, which else never would.
    await left;
    await queue.close();
    redis.disconnect();
  };
  return { server, end };
}

/** @throws InputError */
function accessOf(settings: DashboardSettings, host: string, boardWrites: boolean): Access {
  const { credential, isReadOnly } = settings;
  checkAddress(host, credential);
  const publicUrl = settings.publicUrl && readVariable('VISIONZIP_DASHBOARD_URL', settings.publicUrl);
  const path = publicUrl === null ? '' : new URL(publicUrl).pathname.replace(/\/$/, '');
  const base = readVariable('VISIONZIP_DASHBOARD_BASE', settings.base ?? path) ?? '';
  if (publicUrl !== null && base !== path) {
    throw new InputError(`expected the public URL to end in the base path ${base}/, got ${publicUrl}`, {
      fault: 'settings',
    });
  }
  return { host, base, publicUrl, credential, isReadOnly, boardWrites };
}

function urlOf(server: Server, base: string): string {
  const { address, family, port } = server.address() as AddressInfo;
  const name = address === '0.0.0.0' || address === '::' ? 'localhost' : address;
  return `http://${family === 'IPv6' && name === address ? `[${name}]` : name}:${port}${base}/`;
}

/** Lets answers under way end within a moment. */
async function closed(server: Server): Promise<void> {
  const ended = once(server, 'close');
  server.close();
  const limit = setTimeout(() => server.closeAllConnections(), farewellMs);
  await ended;
  clearTimeout(limit);
}
