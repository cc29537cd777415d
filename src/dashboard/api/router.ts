import express, { type NextFunction, type Request, type Response, type Router } from 'express';
import { z } from 'zod';
import type { ApiContext } from './context.js';
import { Problem, problemOf } from './problems.js';
import type { Route } from './route.js';

/** Of a body; a job has at most 1 MiB. */
const bodyLimit = '2mb';

const idSchema = z.string().min(1).max(1_000);

/** The routes as Express has them: what comes in is checked, what goes wrong is answered as a sentence. */
export function routerOf(routes: readonly Route[], context: ApiContext): Router {
  const router = express.Router();
  const body = express.json({ limit: bodyLimit });
  for (const route of routes) {
    const run = (request: Request, response: Response) => answer(route, context, request, response);
    if (route.isWrite) router.post(route.path, body, run);
    else router.get(route.path, run);
  }
  for (const [path, methods] of methodsOf(routes)) {
    router.all(path, (request, response) => {
      response.set('Allow', methods.join(', '));
      throw new Problem(405, `expected the method ${methods.join(' or ')} at ${path}, got ${request.method}`);
    });
  }
  router.use((request) => {
    throw new Problem(404, `the API has no ${request.path}; see openapi.json`);
  });
  router.use((error: unknown, _request: Request, response: Response, _next: NextFunction) =>
    tellProblem(error, context, response),
  );
  return router;
}

async function answer(
  route: Route,
  context: ApiContext,
  request: Request,
  response: Response,
): Promise<void> {
  if (route.isWrite && context.isReadOnly) {
    throw new Problem(403, 'this dashboard is read-only: nothing can be changed through it');
  }
  response.set('Cache-Control', 'no-store');
  const id = 'id' in request.params ? idSchema.parse(request.params.id) : '';
  const query = route.query?.parse(listsIn(route.query, request.query));
  const body = route.body?.parse(request.body);
  const value = await route.handle(context, { id, query, body, request }, response);
  if ('media' in route.answer) return;
  response.status(route.status ?? 200).json(value);
}

/** A list of one is written like a single value. */
function listsIn(schema: z.ZodType, query: Request['query']): object {
  if (!(schema instanceof z.ZodObject)) return query;
  const isList = (name: string) => {
    const field: unknown = schema.shape[name];
    return (field instanceof z.ZodOptional ? field.unwrap() : field) instanceof z.ZodArray;
  };
  return Object.fromEntries(
    Object.entries(query).map(([name, value]) => [
      name,
      typeof value === 'string' && isList(name) ? [value] : value,
    ]),
  );
}

function methodsOf(routes: readonly Route[]): Map<string, string[]> {
  const methods = new Map<string, string[]>();
  for (const { path, isWrite } of routes) {
    methods.set(path, [...(methods.get(path) ?? []), ...(isWrite ? ['POST'] : ['GET', 'HEAD'])]);
  }
  return methods;
}

function tellProblem(thrown: unknown, { logger }: ApiContext, response: Response): void {
  const { status, error } = problemOf(thrown);
  if (status === 500) logger?.error({ err: thrown }, 'a request failed');
  // The head of what is sent in parts is out already.
  if (response.headersSent) response.destroy();
  else response.status(status).json({ error });
}
