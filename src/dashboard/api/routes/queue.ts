import { packageVersion } from '../../../models/shipped.js';
import { healthOf } from '../health.js';
import { jsonRoute, rawRoute } from '../route.js';
import { healthSchema, overviewQuerySchema, overviewSchema, sessionSchema } from '../schemas.js';

/** About the queue as a whole, and about who looks. */
export const queueRoutes = [
  jsonRoute({
    method: 'get',
    path: '/session',
    summary: 'Who looks, and what they may',
    answer: sessionSchema,
    handle: ({ sessionOf, isReadOnly, settings }, { request }) => ({
      ...sessionOf(request),
      isReadOnly,
      version: packageVersion(),
      queue: settings.queue,
    }),
  }),
  jsonRoute({
    method: 'get',
    path: '/overview',
    summary: 'All of the first page: counts, series, stages, workers, Redis',
    query: overviewQuerySchema,
    answer: overviewSchema,
    handle: ({ overviews }, { query }) => overviews.of(query.hours),
  }),
  rawRoute({
    method: 'get',
    path: '/live',
    summary: 'What changes, as it changes: each event is a liveEvent',
    query: overviewQuerySchema,
    answer: { media: 'text/event-stream', description: 'server-sent events without an end' },
    handle: ({ live }, { query, request }, response) => live.listen(request, response, query.hours),
  }),
  jsonRoute({
    method: 'get',
    path: '/health',
    summary: 'What is well, and what to do about what is not',
    answer: healthSchema,
    handle: (context) => healthOf(context),
  }),
];
