/**
 * A server with the client in it: POST /questions answers with a job's id at once, GET /questions/ID with its document as soon as there
 * is one, or after ten seconds that it is unfinished.
 * Videos are named below the worker's folders; whoever may reach this server may ask about each of them.
 */
import express, { type ErrorRequestHandler } from 'express';
import {
  JobConflictError,
  JobRefusedError,
  QueueClient,
  RedisUnavailableError,
  UnknownJobError,
} from 'visionzip-worker/queue';

const client = new QueueClient({ connection: { url: process.env.REDIS_URL ?? 'redis://127.0.0.1:6379' } });
const app = express();
app.use(express.json());

app.post('/questions', async (request, response) => {
  const { id, ...job } = request.body ?? {}; // The client checks the job, and an id that makes it safe to send it twice.
  response.status(202).json({ id: await client.ask(job, { id }) });
});

app.get('/questions/:id', async (request, response) => {
  try {
    response.json(await client.wait(request.params.id, { timeoutMs: 10_000 }));
  } catch (error) {
    if (!(error instanceof DOMException && error.name === 'TimeoutError')) throw error;
    response.status(202).json({ status: 'unfinished' });
  }
});

app.delete('/questions/:id', async (request, response) => {
  response.json({ outcome: await client.cancel(request.params.id) });
});

const statusOf = (error: unknown) => {
  if (error instanceof JobRefusedError) return 400;
  if (error instanceof UnknownJobError) return 404;
  if (error instanceof JobConflictError) return 409;
  return error instanceof RedisUnavailableError ? 503 : null;
};
const tell: ErrorRequestHandler = (error, _request, response, next) => {
  const status = statusOf(error);
  if (status === null) next(error);
  else response.status(status).json({ error: error.message });
};
app.use(tell);

const server = app.listen(Number(process.env.PORT ?? 8080), '127.0.0.1');
process.once('SIGTERM', () => server.close(() => void client.close()));
