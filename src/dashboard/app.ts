import type { Queue } from 'bullmq';
import express, { type Express, Router } from 'express';
import type { Logger } from 'pino';
import type { Credential } from '../settings.js';
import type { Api } from './api/index.js';
import { boardRoutes } from './board.js';
import { logRequests } from './log.js';
import { QueueMetrics } from './metrics/queue.js';
import { healthRoutes, metricsRoutes } from './metrics/routes.js';
import { pageRoutes } from './pages.js';
import { refuseUnknownPaths, tellProblems } from './problem.js';
import { requireToken } from './security/csrf.js';
import { Gate } from './security/gate.js';
import { sayPolicies } from './security/headers.js';
import { refuseForeignHosts } from './security/hosts.js';
import { loginRoutes } from './security/login.js';
import type { Sessions } from './security/sessions.js';
import { refuseForeignReads, refuseForeignWrites, refuseWrites } from './security/writes.js';

/** How the dashboard is reached, and what may be done with it. */
export interface Access {
  /** Address that is listened on. */
  readonly host: string;
  readonly base: string;
  readonly publicUrl: string | null;
  readonly credential: Credential | null;
  readonly isReadOnly: boolean;
  /** Whether bull-board may change jobs. */
  readonly boardWrites: boolean;
}

interface AppParts {
  readonly access: Access;
  readonly sessions: Sessions;
  readonly queue: Queue;
  readonly api: Api;
  /** Fails where Redis does not answer. */
  readonly ping: () => Promise<unknown>;
  readonly logger: Logger;
}

/** The guards first, each in its place: what is refused by one of them is never seen by those behind it. */
export function appOf(parts: AppParts): Express {
  const { access, logger } = parts;
  const app = express();
  app.disable('x-powered-by');
  // The one proxy of the public URL; without that anybody could claim to be one.
  app.set('trust proxy', access.publicUrl === null ? false : 1);
  app.use(sayPolicies, logRequests(logger), refuseForeignHosts(access.host, access.publicUrl));
  app.use(access.base || '/', routesOf(parts));
  app.use(refuseUnknownPaths, tellProblems(logger));
  return app;
}

function routesOf({ access, sessions, queue, api, ping, logger }: AppParts): Router {
  const { base, credential, isReadOnly, boardWrites } = access;
  const gate = new Gate({ credential, sessions, base, logger });
  const router = Router();
  router.use(healthRoutes(ping), refuseForeignReads, refuseForeignWrites(access.publicUrl));
  router.use(loginRoutes(gate));
  if (isReadOnly) router.use(refuseWrites('the dashboard is read-only'));
  router.use(gate.guard, requireToken(sessions));
  router.use(boardRoutes({ queue, base, canWrite: boardWrites && !isReadOnly, sessions }));
  router.use(metricsRoutes(new QueueMetrics(() => api.overview(1))));
  router.use('/api', api.router);
  router.use(pageRoutes(base));
  return router;
}
