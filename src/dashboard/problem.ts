import type { ErrorRequestHandler, RequestHandler, Response } from 'express';
import type { Logger } from 'pino';

/** Answers with what was expected and what was found. */
export function refuse(response: Response, status: number, error: string): void {
  response.status(status).json({ error });
}

/** Behind everything that knows a path. */
export const refuseUnknownPaths: RequestHandler = ({ method, originalUrl }, response) => {
  refuse(response, 404, `nothing answers to ${method} ${originalUrl.replace(/\?.*/s, '')}`);
};

interface Thrown {
  readonly name?: string;
  readonly message?: string;
  readonly status?: number;
}

/** What went wrong in one sentence; of what nobody expected the log alone has the details. */
export function tellProblems(logger: Logger): ErrorRequestHandler {
  return (error: Thrown, request, response, next) => {
    const isAway = error.name === 'RedisUnavailableError';
    // Express' own: a path that cannot be decoded, a body that is too large.
    const own = error.status !== undefined && error.status < 500 ? error.status : 500;
    const status = isAway ? 503 : own;
    if (status === 500) logger.error({ err: error, path: request.path }, 'a request failed');
    // What has begun cannot become an error: the connection is cut, so that it does not pass for whole.
    if (response.headersSent) return next(error);
    const message = status === 500 ? 'something went wrong inside the dashboard: see its log' : error.message;
    refuse(response, status, message ?? '');
  };
}
