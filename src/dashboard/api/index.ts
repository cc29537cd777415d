import type { Request, Router } from 'express';
import type { Logger } from 'pino';
import { QueueClient } from '../../../queues/client.js';
import { addressOf, type RedisClient, type RedisConnection } from '../../../queues/connection.js';
import { Documents } from '../../../queues/documents.js';
import type { Settings } from '../../settings.js';
import { JobIndex } from '../index/index.js';
import { type ApiContext, keysIn } from './context.js';
import { Live } from './live.js';
import { Overviews } from './overview.js';
import { routerOf } from './router.js';
import { actionRoutes } from './routes/actions.js';
import { datasetRoutes } from './routes/datasets.js';
import { withDescription } from './routes/description.js';
import { jobRoutes } from './routes/jobs.js';
import { queueRoutes } from './routes/queue.js';
import type { Overview, Session } from './schemas.js';

export interface ApiParts {
  readonly settings: Settings;
  readonly connection: RedisConnection;
  /** A hasty client. */
  readonly redis: RedisClient;
  /** Whether nothing may be changed. */
  readonly isReadOnly: boolean;
  readonly logger?: Logger;
  sessionOf(request: Request): Pick<Session, 'csrf' | 'isLoggedIn'>;
}

export interface Api {
  /** To be mounted behind all that guards it. */
  readonly router: Router;
  readonly index: JobIndex;
  /** @throws RedisUnavailableError */
  overview(hours: number): Promise<Overview>;
  /** Ends what listens, and the connections but for `redis`. */
  close(): Promise<void>;
}

/** All routes, in the order of the description. */
export const routes = withDescription([...queueRoutes, ...jobRoutes, ...actionRoutes, ...datasetRoutes]);

/** The dashboard's API. Its index begins to read the queue at once, in the background. */
export function createApi(parts: ApiParts): Api {
  const { settings, connection, redis, isReadOnly, logger, sessionOf } = parts;
  const { prefix, queue, attempts, backoffMs, retentionSeconds } = settings;
  const client = new QueueClient({ connection, prefix, queue, attempts, backoffMs, retentionSeconds });
  const index = new JobIndex({ redis, connection, prefix, queue });
  const keys = keysIn(settings);
  const address = addressOf(connection);
  const documents = new Documents(redis, keys, retentionSeconds);
  const overviews = new Overviews({ settings, redis, address, client, index });
  const live = new Live({ index, overviews });
  const context: ApiContext = {
    ...{ settings, address, redis, keys, client, documents, index, overviews, live },
    ...{ isReadOnly, logger, sessionOf },
  };
  return {
    router: routerOf(routes, context),
    index,
    overview: (hours) => overviews.of(hours),
    close: async () => {
      live.close();
      await Promise.all([index.close(), client.close()]);
    },
  };
}
