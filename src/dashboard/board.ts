import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { ExpressAdapter } from '@bull-board/express';
import type { Queue } from 'bullmq';
import { type RequestHandler, Router } from 'express';
import { sayBoardPolicy } from './security/headers.js';
import type { Sessions } from './security/sessions.js';
import { refuseWrites } from './security/writes.js';
import { shortened } from './shortened.js';

interface BoardOptions {
  readonly queue: Queue;
  /** Path below which the dashboard lies; the board lies at `/queues` of it. */
  readonly base: string;
  /** Whether jobs can be changed through it, too. */
  readonly canWrite: boolean;
  readonly sessions: Sessions;
}

/** bull-board: all that BullMQ itself knows of the queue, below `/queues`. */
export function boardRoutes({ queue, base, canWrite, sessions }: BoardOptions): Router {
  const adapter = new BullMQAdapter(queue, {
    readOnlyMode: !canWrite,
    externalJobUrl: ({ id }) => ({
      displayText: 'Result',
      href: `${base}/jobs/${encodeURIComponent(String(id))}`,
    }),
  });
  for (const field of ['data', 'returnValue', 'progress'] as const) adapter.setFormatter(field, shortened);
  const board = new ExpressAdapter().setBasePath(`${base}/queues`);
  createBullBoard({
    queues: [adapter],
    serverAdapter: board,
    options: { uiConfig: { boardTitle: 'VisionZip' } },
  });
  const router = Router();
  // Beside its own read-only mode, so that no route of another version is left open.
  const guard = canWrite
    ? giveToken(`${base}/queues`, sessions)
    : refuseWrites('bull-board changes nothing here');
  router.use('/queues', guard);
  router.use('/queues', sayBoardPolicy, board.getRouter());
  return router;
}

/** axios, which the board's page uses, sends a cookie of this name back as the header X-XSRF-TOKEN. */
function giveToken(path: string, sessions: Sessions): RequestHandler {
  return (request, response, next) => {
    response.cookie('XSRF-TOKEN', sessions.csrfOf(request), { path, sameSite: 'strict' });
    next();
  };
}
