import { askJobSchema } from '../../../../queues/schemas.js';
import { actOnMany, cancelJob, retryJob } from '../act.js';
import { jsonRoute } from '../route.js';
import { actionOutcomeSchema, askedSchema, bulkOutcomeSchema, bulkSchema } from '../schemas.js';

/** What can be done. */
export const actionRoutes = [
  jsonRoute({
    method: 'post',
    path: '/jobs',
    summary: 'Ask questions about a video',
    body: askJobSchema,
    answer: askedSchema,
    status: 201,
    handle: async ({ client }, { body }) => ({ id: await client.ask(body) }),
  }),
  jsonRoute({
    method: 'post',
    path: '/jobs/bulk',
    summary: 'Cancel, or ask again, all jobs that meet a filter',
    body: bulkSchema,
    answer: bulkOutcomeSchema,
    handle: (context, { body }) => actOnMany(context, body),
  }),
  jsonRoute({
    method: 'post',
    path: '/jobs/:id/cancel',
    summary: 'Stop a job: one that waits is removed, one that runs is asked to stop',
    answer: actionOutcomeSchema,
    handle: async (context, { id }) => ({ outcome: await cancelJob(context, id) }),
  }),
  jsonRoute({
    method: 'post',
    path: '/jobs/:id/retry',
    summary: 'Ask a job again that failed or was cancelled, under its id',
    answer: actionOutcomeSchema,
    handle: async (context, { id }) => {
      await retryJob(context, id);
      return { outcome: 'retried' as const };
    },
  }),
];
