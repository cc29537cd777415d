import type { Request, Response } from 'express';
import type { z } from 'zod';
import type { ApiContext } from './context.js';

/** What an answer is that is no JSON. */
export interface RawAnswer {
  readonly media: string;
  readonly description: string;
}

interface RouteWords<Query extends z.ZodType, Body extends z.ZodType> {
  /** Express' words, which OpenAPI shares but for the colon: `/jobs/:id`. */
  readonly path: string;
  readonly method: 'get' | 'post';
  /** As a sentence, without its full stop. */
  readonly summary: string;
  readonly query?: Query;
  readonly body?: Body;
}

/** What came in, as its schemas have it. */
export interface Input<Query, Body> {
  /** Of the path: the id of a job or a dataset; empty where the path has none. */
  readonly id: string;
  readonly query: Query;
  readonly body: Body;
  readonly request: Request;
}

/** A route of the API: its words make the OpenAPI description, its function answers. */
export interface Route extends RouteWords<z.ZodType, z.ZodType> {
  readonly answer: z.ZodType | RawAnswer;
  /** Of an answer that is well; default 200. */
  readonly status?: number;
  /** Whether it changes something. */
  readonly isWrite: boolean;
  handle(context: ApiContext, input: Input<unknown, unknown>, response: Response): Promise<unknown> | unknown;
}

type Given<Schema extends z.ZodType> = z.output<Schema>;

/** A route that answers in JSON. */
export function jsonRoute<
  A extends z.ZodType,
  Q extends z.ZodType = z.ZodUndefined,
  B extends z.ZodType = z.ZodUndefined,
>(
  route: RouteWords<Q, B> & {
    readonly answer: A;
    readonly status?: number;
    handle(context: ApiContext, input: Input<Given<Q>, Given<B>>): Promise<Given<A>> | Given<A>;
  },
): Route {
  return { ...route, isWrite: route.method === 'post' } as Route;
}

/** A route that answers by itself: a file, a page, events. */
export function rawRoute<Q extends z.ZodType = z.ZodUndefined>(
  route: RouteWords<Q, z.ZodUndefined> & {
    readonly answer: RawAnswer;
    handle(context: ApiContext, input: Input<Given<Q>, undefined>, response: Response): Promise<void> | void;
  },
): Route {
  return { ...route, isWrite: false } as Route;
}
