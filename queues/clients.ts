import type { Redis } from 'ioredis';
import { openClient, patientOptions, type RedisConnection } from './connection.js';

/** How long a server may take to close a connection from its side, in milliseconds: one that is frozen never does. */
const disconnectTimeout = 500;

/**
 * The connections of one worker or listener. They wait for Redis, however long it takes, until `end`; those that BullMQ
 * duplicates are among them, since BullMQ cannot close one to a server that has gone.
 */
export class Clients {
  readonly #options;
  readonly #all: Redis[] = [];
  #ended = false;

  constructor(connection: RedisConnection, onRefusal?: (error: Error) => void) {
    const options = patientOptions(connection, onRefusal);
    const retryStrategy = (times: number) => (this.#ended ? null : options.retryStrategy(times));
    this.#options = { ...options, disconnectTimeout, retryStrategy };
  }

  open(): Redis {
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

  #adopt(client: Redis): Redis {
    const duplicate = client.duplicate.bind(client);
    client.duplicate = (override) => this.#adopt(duplicate(override));
    this.#all.push(client);
    return client;
  }
}
