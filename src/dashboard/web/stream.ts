import { useEffect, useState } from 'preact/hooks';
import type { StreamEvent } from '../../../queues/transcript.js';
import { type Heard, hear, nothing } from './heard.js';
import { addressOf } from './router.js';
import { jobPath } from './routes.js';

/** A job's text while it is generated; null listens to nothing. */
export function useStream(id: string | null): Heard {
  const [heard, setHeard] = useState(nothing);
  useEffect(() => {
    setHeard(nothing);
    if (id === null) return;
    const source = new EventSource(addressOf(`api/${jobPath(id)}/stream`));
    // After a gap the stream begins anew, and tells all there is.
    source.addEventListener('open', () => setHeard(nothing));
    source.addEventListener('message', ({ data }) => {
      const event = JSON.parse(data) as StreamEvent;
      if (event.type === 'document') source.close();
      setHeard((before) => hear(before, event));
    });
    return () => source.close();
  }, [id]);
  return heard;
}
