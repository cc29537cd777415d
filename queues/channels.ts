import { Clients } from './clients.js';
import type { RedisClient, RedisConnection } from './connection.js';

type Hear = (message: string) => void;

/** One connection that listens to channels, for as many callers as there are. It comes back by itself after a break. */
export class Channels {
  readonly #clients: Clients;
  readonly #subscriber: RedisClient;
  readonly #heard = new Map<string, Set<Hear>>();

  constructor(connection: RedisConnection) {
    this.#clients = new Clients(connection);
    this.#subscriber = this.#clients.open();
    this.#subscriber.on('error', () => {});
    this.#subscriber.on('message', (channel, message) => {
      for (const hear of [...(this.#heard.get(channel) ?? [])]) hear(message);
    });
  }

  /** Returns what ends it. Messages before the subscription, or during a break, are not heard. */
  listen(channel: string, hear: Hear): () => void {
    const others = this.#heard.get(channel);
    this.#heard.set(channel, (others ?? new Set()).add(hear));
    if (!others) this.#subscriber.subscribe(channel).catch(() => {});
    return () => {
      const left = this.#heard.get(channel);
      if (!left?.delete(hear) || left.size > 0) return;
      this.#heard.delete(channel);
      this.#subscriber.unsubscribe(channel).catch(() => {});
    };
  }

  close(): void {
    this.#heard.clear();
    this.#clients.end();
  }
}
