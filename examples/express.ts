/**
 * A server with the client in it: POST /questions answers with a job's id at once, GET /questions/ID with how it stands.
 * Videos are named below the worker's folders; whoever may reach this server may ask about each of them.
 */
import express, { type ErrorRequestHandler } from 'express';
import {
  JobConflictError,
  JobRefusedError,
  QueueClient,
  RedisUnavailableError,
} from 'visionzip-worker/queue';

const client = new QueueClient({ connection: { url: process.env.REDIS_URL ?? 'redis://127.0.0.1:6379' } });
const app = express();
app.use(express.json());

app.post('/questions', async (request, response) => {
  const { id, ...job } = request.body ?? {}; // The client checks the job, and an id that makes it safe to send it twice.
  response.status(202).json({ id: await client.ask(job, { id }) });
});

app.get('/questions/:id', async (request, response) => {
  const document = await client.result(request.params.id);
  response.status(document ? 200 : 202).json(document ?? { status: 'unfinished' });
});

app.delete('/questions/:id', async (request, response) => {
  response.json({ outcome: await client.cancel(request.params.id) });
});

const tell: ErrorRequestHandler = (error, _request, response, next) => {
  const status =
    error instanceof JobRefusedError
      ? 400
      : error instanceof JobConflictError
        ? 409
        : error instanceof RedisUnavailableError
          ? 503
          : null;
  if (status === null) next(error);
  else response.status(status).json({ error: error.message });
};
app.use(tell);

const server = app.listen(Number(process.env.PORT ?? 8080), '127.0.0.1');
process.once('SIGTERM', () => server.close(() => void client.close()));
