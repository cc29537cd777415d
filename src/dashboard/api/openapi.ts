import { z } from 'zod';
import { packageVersion } from '../../models/shipped.js';
import type { Route } from './route.js';
import { liveEventSchema, problemSchema } from './schemas.js';

type Json = Readonly<Record<string, unknown>>;

/** The description of the API, made from its routes (OpenAPI 3.1). */
export function describeApi(routes: readonly Route[]): Json {
  const paths: Record<string, Record<string, Json>> = {};
  for (const route of routes) {
    const path = route.path.replace(/:(\w+)/g, '{$1}');
    paths[path] = { ...paths[path], [route.method]: operationOf(route) };
  }
  return {
    openapi: '3.1.1',
    info: {
      title: 'VisionZip dashboard',
      version: packageVersion(),
      description:
        'What the pages of `visionzip dashboard` read and do. Times are milliseconds since 1970 where they end in `At`.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '.' }],
    paths,
    components: {
      schemas: { Problem: schemaOf(problemSchema, 'output'), LiveEvent: schemaOf(liveEventSchema, 'output') },
      securitySchemes: {
        basic: { type: 'http', scheme: 'basic' },
        bearer: { type: 'http', scheme: 'bearer' },
      },
    },
    security: [{}, { basic: [] }, { bearer: [] }],
  };
}

function operationOf(route: Route): Json {
  const { path, method, summary, body, status = 200 } = route;
  return {
    operationId: operationIdOf(method, path),
    summary,
    parameters: [...pathParameters(path), ...queryParameters(route), ...(route.isWrite ? [csrf] : [])],
    ...(body && {
      requestBody: { required: true, content: { 'application/json': { schema: schemaOf(body, 'input') } } },
    }),
    responses: { [status]: answerOf(route), default: problem },
  };
}

const csrf = {
  name: 'X-CSRF-Token',
  in: 'header',
  description: 'as `GET /session` tells it; not asked of requests with a bearer token',
  schema: { type: 'string' },
};

const problem = {
  description: 'what was expected and what was found, as a sentence',
  content: { 'application/json': { schema: { $ref: '#/components/schemas/Problem' } } },
};

function answerOf({ answer }: Route): Json {
  if ('media' in answer) {
    return { description: answer.description, content: { [answer.media]: { schema: { type: 'string' } } } };
  }
  return { description: 'well', content: { 'application/json': { schema: schemaOf(answer, 'output') } } };
}

function pathParameters(path: string): Json[] {
  const names = [...path.matchAll(/:(\w+)/g)].map(([, name]) => name);
  return names.map((name) => ({ name, in: 'path', required: true, schema: { type: 'string' } }));
}

function queryParameters({ query }: Route): Json[] {
  if (!query) return [];
  const { properties = {}, required = [] } = schemaOf(query, 'input') as {
    properties?: Record<string, Json>;
    required?: string[];
  };
  return Object.entries(properties).map(([name, schema]) => ({
    ...{ name, in: 'query', required: required.includes(name), schema },
    ...(schema.type === 'array' && { style: 'form', explode: true }),
  }));
}

function operationIdOf(method: string, path: string): string {
  const words = path.split('/').filter((part) => part !== '');
  const named = words.map((part) => (part.startsWith(':') ? 'One' : part[0]!.toUpperCase() + part.slice(1)));
  return method + named.join('').replace(/\W/g, '');
}

/** What is made of a value on its way in has no schema of its own; any value then stands for it. */
function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
  return rest;
}
