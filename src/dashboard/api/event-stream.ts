import { once } from 'node:events';
import type { Request, Response } from 'express';
import { Problem } from './problems.js';

/** How often something is said to whoever listens, so that nothing on the way takes the connection for dead, in milliseconds. */
const heartbeatMs = 15_000;

/** Each holds a connection for as long as somebody listens; of more there would be none left for anything else. */
const mostStreams = 256;
let openStreams = 0;

/** Server-sent events to one browser. */
export class EventStream {
  readonly #response: Response;
  readonly #timer: NodeJS.Timeout;
  readonly #left = new AbortController();

  /** @throws Problem where too many are open in this process. */
  constructor(request: Request, response: Response) {
    if (openStreams >= mostStreams) {
      throw new Problem(503, `expected at most ${mostStreams} to listen, there are as many`);
    }
    openStreams += 1;
    this.#response = response;
    // A proxy such as nginx would gather the events.
    response.set({ 'Content-Type': 'text/event-stream', 'X-Accel-Buffering': 'no' });
    response.flushHeaders();
    this.#timer = setInterval(() => this.#beat(), heartbeatMs).unref();
    response.on('close', () => this.end());
    // Whoever asked may have left before there was something to listen to.
    if (request.method === 'HEAD' || response.closed) this.end();
  }

  /** Aborted once nobody listens any more. */
  get signal(): AbortSignal {
    return this.#left.signal;
  }

  /** Whether the reader is behind: more would only pile up. */
  get isFull(): boolean {
    return this.#response.writableNeedDrain;
  }

  send(event: object): void {
    if (!this.signal.aborted) this.#response.write(`data: ${JSON.stringify(event)}\n\n`);
  }

  /** Resolves once the reader has caught up, or has left. */
  async drained(): Promise<void> {
    if (!this.isFull || this.signal.aborted) return;
    await once(this.#response, 'drain', { signal: this.signal }).catch(() => {}); // It left.
  }

  end(): void {
    if (this.signal.aborted) return;
    openStreams -= 1;
    clearInterval(this.#timer);
    this.#left.abort();
    this.#response.end();
  }

  #beat(): void {
    if (!this.isFull) this.#response.write(': \n\n');
  }
}
