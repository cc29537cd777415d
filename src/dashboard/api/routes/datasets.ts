import { z } from 'zod';
import type { RunRecord } from '../../../../queues/runs.js';
import type { ApiContext } from '../context.js';
import { datasetOf, reportOf, stateOf } from '../datasets.js';
import { Problem } from '../problems.js';
import { jsonRoute, rawRoute } from '../route.js';
import {
  actionOutcomeSchema,
  datasetActionSchema,
  datasetListSchema,
  datasetSchema,
  reportQuerySchema,
} from '../schemas.js';
import { sendPage } from '../send-page.js';

/** Runs of `visionzip batch`. */
export const datasetRoutes = [
  jsonRoute({
    method: 'get',
    path: '/datasets',
    summary: 'The runs of datasets that were heard of last, the latest first',
    answer: datasetListSchema,
    handle: async ({ client }) => {
      const records = await client.runs();
      return { datasets: await Promise.all(records.map((record) => datasetOf(record, Date.now()))) };
    },
  }),
  jsonRoute({
    method: 'get',
    path: '/datasets/:id',
    summary: 'A run of a dataset',
    answer: datasetSchema,
    handle: async (context, { id }) => datasetOf(await findRun(context, id), Date.now()),
  }),
  jsonRoute({
    method: 'post',
    path: '/datasets/:id',
    summary: 'Let a run pause, go on, end with the jobs under way, or stop',
    body: z.strictObject({ action: datasetActionSchema }),
    answer: actionOutcomeSchema,
    handle: async (context, { id, body: { action } }) => {
      const record = await findRun(context, id);
      if (stateOf(record, Date.now()) === 'lost') {
        throw new Problem(
          409,
          `nothing was heard of the run ${JSON.stringify(id)} since ${record.updatedAt}`,
        );
      }
      return { outcome: await context.client.controlRun(id, action === 'resume' ? null : action) };
    },
  }),
  rawRoute({
    method: 'get',
    path: '/datasets/:id/report',
    summary:
      "The report of a run's answers, where this machine can read them; row by row beside those of a run before",
    query: reportQuerySchema,
    answer: { media: 'text/html', description: 'a page that needs nothing else' },
    handle: async (context, { id, query: { before } }, response) => {
      const runs = await Promise.all(
        [id, ...(before === undefined ? [] : [before])].map((one) => findRun(context, one)),
      );
      sendPage(response, await reportOf(runs[0]!, runs[1]));
    },
  }),
];

async function findRun({ client }: ApiContext, id: string): Promise<RunRecord> {
  const record = await client.run(id);
  if (!record) throw new Problem(404, `no run has the id ${JSON.stringify(id)}`);
  return record;
}
