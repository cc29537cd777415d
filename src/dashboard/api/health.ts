import type { ApiContext } from './context.js';
import type { Health } from './schemas.js';

export async function healthOf(_context: ApiContext): Promise<Health> {
  return { checks: [] };
}
