import { z } from 'zod';
import { describeApi } from '../openapi.js';
import { jsonRoute, type Route } from '../route.js';

/** The route that describes the others, and itself. */
export function withDescription(routes: readonly Route[]): readonly Route[] {
  let description: Record<string, unknown> | undefined;
  const all: Route[] = [
    ...routes,
    jsonRoute({
      method: 'get',
      path: '/openapi.json',
      summary: 'This description',
      answer: z.record(z.string(), z.unknown()),
      handle: () => {
        description ??= { ...describeApi(all) };
        return description;
      },
    }),
  ];
  return all;
}
