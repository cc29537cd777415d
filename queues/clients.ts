import {
  openClient,
  patientOptions,
  type RedisClient,
  type RedisConnection,
  watchSlots,
} from './connection.js';

/** How long a server may take to close a connection from its side, in milliseconds: one that is frozen never does. */
const disconnectTimeout = 500;

/**
 * The connections of one worker or listener. They wait for Redis, however long it takes, until `end`; those that BullMQ
 * duplicates are among them, since BullMQ cannot close one to a server that has gone.
 */
export class Clients {
  readonly #options;
  readonly #all: RedisClient[] = [];
  #ended = false;

  constructor(connection: RedisConnection, onRefusal?: (error: Error) => void) {
    const options = patientOptions(connection, onRefusal);
    const retryStrategy = (times: number) => (this.#ended ? null : options.retryStrategy(times));
    this.#options = { ...options, disconnectTimeout, retryStrategy };
  }

  open(): RedisClient {
    return this.#adopt(openClient(this.#options, {}));
  }

  /** Ends all connections for good. What waits for an answer is rejected. */
  end(): void {
    this.#ended = true;
    for (const client of this.#all) {
      // `disconnect` alone would stop the attempts, and leave whoever waits for the end waiting for ever.
      if (client.status === 'reconnecting') client.connect().catch(() => {});
      client.disconnect();
    }
  }

  #adopt(client: RedisClient): RedisClient {
    const duplicate = client.duplicate.bind(client) as (...args: unknown[]) => RedisClient;
    Object.assign(client, {
      duplicate: (...args: unknown[]) => {
        const other = duplicate(...args);
        watchSlots(other, this.#options.slotsRefreshInterval);
        return this.#adopt(other);
      },
    });
    this.#all.push(client);
    return client;
  }
}
