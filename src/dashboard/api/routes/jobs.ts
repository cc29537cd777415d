import type { z } from 'zod';
import { sightSchema } from '../../../../queues/sight.js';
import { detailOf, findJob, sightOf, videoOf } from '../detail.js';
import { EventStream } from '../event-stream.js';
import { renderJobPage } from '../job-page.js';
import { Problem, problemOf } from '../problems.js';
import { jsonRoute, rawRoute } from '../route.js';
import {
  errorListSchema,
  facetsSchema,
  jobDetailSchema,
  jobFilterSchema,
  jobListSchema,
  jobQuerySchema,
} from '../schemas.js';
import { sendPage } from '../send-page.js';
import { sendVideo } from '../video.js';

/** What can be seen of jobs. */
export const jobRoutes = [
  jsonRoute({
    method: 'get',
    path: '/jobs',
    summary: 'A page of the jobs that meet a filter',
    query: jobQuerySchema,
    answer: jobListSchema,
    handle: ({ index }, { query }) => ({ ...index.list(query), index: index.progress }),
  }),
  jsonRoute({
    method: 'get',
    path: '/errors',
    summary: 'Failures that meet a filter, by their class',
    query: jobFilterSchema,
    answer: errorListSchema,
    handle: ({ index }, { query }) => ({ groups: index.errors(query), index: index.progress }),
  }),
  jsonRoute({
    method: 'get',
    path: '/facets',
    summary: 'What there is to filter by',
    answer: facetsSchema,
    handle: ({ index }) => index.facets(),
  }),
  jsonRoute({
    method: 'get',
    path: '/jobs/:id',
    summary: 'All that is known of a job',
    answer: jobDetailSchema,
    handle: (context, { id }) => detailOf(context, id) as Promise<z.output<typeof jobDetailSchema>>,
  }),
  rawRoute({
    method: 'get',
    path: '/jobs/:id/video',
    summary:
      'The video of a job, or the range of it that is asked for, where it lies below a video folder of this machine',
    answer: { media: 'video/*', description: 'the file' },
    handle: async (context, { id, request }, response) => {
      await sendVideo(videoOf(await findJob(context, id)), context.settings.videoDirs, request, response);
    },
  }),
  jsonRoute({
    method: 'get',
    path: '/jobs/:id/sight',
    summary: 'What the model saw of the video of a job, while that is kept',
    answer: sightSchema,
    handle: async (context, { id }) => {
      const sight = await sightOf(context, await findJob(context, id));
      if (!sight)
        throw new Problem(404, `nothing is kept of what was seen for the job ${JSON.stringify(id)}`);
      return sight as z.output<typeof sightSchema>;
    },
  }),
  rawRoute({
    method: 'get',
    path: '/jobs/:id/page',
    summary: 'A job as one page that needs nothing else, to be sent around',
    answer: { media: 'text/html', description: 'the page' },
    handle: async (context, { id }, response) => {
      const found = await findJob(context, id);
      sendPage(response, renderJobPage(found, await sightOf(context, found), new Date()));
    },
  }),
  rawRoute({
    method: 'get',
    path: '/jobs/:id/stream',
    summary:
      'The answers of a job as they are generated, and at last its document: each event is a StreamEvent',
    answer: { media: 'text/event-stream', description: 'server-sent events until the job has ended' },
    handle: async (context, { id, request }, response) => {
      await findJob(context, id); // A sentence instead of a stream, where there is none.
      const stream = new EventStream(request, response);
      try {
        for await (const event of context.client.stream(id, { signal: stream.signal })) {
          stream.send(event);
          await stream.drained();
        }
      } catch (error) {
        if (!stream.signal.aborted) stream.send({ type: 'error', error: problemOf(error).error });
      } finally {
        stream.end();
      }
    },
  }),
];
