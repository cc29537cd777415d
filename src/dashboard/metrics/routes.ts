import { Router } from 'express';
import type { QueueMetrics } from './queue.js';

/** `/healthz`: this process answers. `/readyz`: Redis answers it, too. Neither says anything that were not to be known. */
export function healthRoutes(ping: () => Promise<unknown>): Router {
  const router = Router();
  router.get('/healthz', (_request, response) => void response.type('text').send('ok\n'));
  router.get('/readyz', async (_request, response) => {
    const isReady = await ping().then(
      () => true,
      () => false,
    );
    response.status(isReady ? 200 : 503).type('text');
    response.send(isReady ? 'ok\n' : 'Redis does not answer\n');
  });
  return router;
}

/** `/metrics`, as Prometheus reads them. */
export function metricsRoutes(metrics: QueueMetrics): Router {
  const router = Router();
  router.get('/metrics', async (_request, response) => {
    const text = await metrics.read();
    response.set('Content-Type', metrics.contentType).send(text);
  });
  return router;
}
