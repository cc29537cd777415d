import { useEffect, useState } from 'preact/hooks';
import type { StreamEvent } from '../../../queues/transcript.js';
import { type Heard, hear, nothing } from './heard.js';
import { addressOf } from './router.js';
import { jobPath } from './routes.js';

/** Pause before a stream is asked for again that was refused, as while Redis is away, in milliseconds. */
const retryMs = 3_000;

/** A job's text while it is generated; null listens to nothing. */
export function useStream(id: string | null): Heard {
  const [heard, setHeard] = useState(nothing);
  useEffect(() => {
    setHeard(nothing);
    if (id !== null) return listen(id, setHeard);
  }, [id]);
  return heard;
}

/** Listens while the page is looked at: a browser opens few connections to a server, for all of its pages together. */
function listen(id: string, setHeard: (change: (before: Heard) => Heard) => void): () => void {
  let source: EventSource | null = null;
  let retry: ReturnType<typeof setTimeout> | undefined;
  let isOver = false;
  // Once a picture of the screen: words may come faster than any page is drawn.
  const untaken: ((before: Heard) => Heard)[] = [];
  const take = (change: (before: Heard) => Heard) => {
    if (untaken.push(change) > 1) return;
    requestAnimationFrame(() => {
      const changes = untaken.splice(0);
      setHeard((before) => changes.reduce((heard, change) => change(heard), before));
    });
  };
  const close = () => {
    clearTimeout(retry);
    source?.close();
    source = null;
  };
  const open = () => {
    source = new EventSource(addressOf(`api/${jobPath(id)}/stream`));
    // After a gap the stream begins anew, and tells all there is.
    source.addEventListener('open', () => take((): Heard => nothing));
    source.addEventListener('message', ({ data }) => {
      const event = JSON.parse(data) as StreamEvent;
      isOver = event.type === 'document';
      if (isOver) close();
      take((before) => hear(before, event));
    });
    source.addEventListener('error', () => {
      if (source?.readyState !== EventSource.CLOSED) return;
      close();
      retry = setTimeout(follow, retryMs);
    });
  };
  const follow = () => {
    if (document.hidden) close();
    else if (!isOver && !source) open();
  };
  document.addEventListener('visibilitychange', follow);
  follow();
  return () => {
    document.removeEventListener('visibilitychange', follow);
    untaken.length = 0;
    close();
  };
}
