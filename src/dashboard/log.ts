import type { RequestHandler } from 'express';
import type { Logger } from 'pino';

/** A line for each request once it is answered, or given up by whoever asked. */
export function logRequests(logger: Logger): RequestHandler {
  return (request, response, next) => {
    const started = performance.now();
    const { method, path, ip: address } = request;
    response.once('close', () => {
      const ms = Math.round(performance.now() - started);
      logger.debug({ method, path, status: response.statusCode, ms, address }, 'request');
    });
    next();
  };
}
