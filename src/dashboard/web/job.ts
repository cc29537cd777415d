import { useEffect } from 'preact/hooks';
import type { JobDetail } from '../api/schemas.js';
import { useJobs } from './live.js';
import { type Loaded, useLoaded } from './load.js';
import { jobPath } from './routes.js';
import { type FollowedJob, withTold } from './told.js';

/** A job as it was read, and as events tell it since; null is none. Where they tell of another state it is read again. */
export function useJob(id: string | null): Loaded<JobDetail> {
  const loaded = useLoaded<FollowedJob>(id === null ? null : jobPath(id));
  const { data, readings, reload, change } = loaded;
  useJobs((row) => {
    if (row.id === id) change((job) => withTold(job, row));
  });
  const isBehind = data?.isBehind ?? false;
  useEffect(() => {
    if (isBehind) reload();
  }, [isBehind, readings]);
  return loaded as unknown as Loaded<JobDetail>;
}
