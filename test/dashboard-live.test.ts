import { once } from 'node:events';
import type { Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import express from 'express';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RedisUnavailableError } from '../queues/connection.js';
import { EventStream } from '../src/dashboard/api/event-stream.js';
import { Live } from '../src/dashboard/api/live.js';
import type { JobRow, Overview } from '../src/dashboard/api/schemas.js';
import { entryOf } from '../src/dashboard/index/entry.js';
import { until } from './support/script.js';

let server: Server;
let live: Live;
let tell: (rows: readonly JobRow[]) => void;
let listeners = 0;
let isAway = false;
const sockets: Socket[] = [];

/** What an overview is made of is none of its business. */
const overviews = {
  of: async () => {
    if (isAway) throw new RedisUnavailableError('cannot reach Redis');
    return { at: Date.now() } as Overview;
  },
};
const index = {
  version: 0,
  onChange: (heard: typeof tell) => {
    tell = heard;
    listeners += 1;
    return () => {
      listeners -= 1;
    };
  },
};

function row(id: string, question: string): JobRow {
  const nothing = {
    processedOn: null,
    finishedOn: null,
    failedReason: null,
    returnvalue: null,
    worker: null,
  };
  const data = JSON.stringify({ video: 'a.mp4', questions: [question] });
  return entryOf(id, { ...nothing, data, timestamp: 1, priority: 0, attempts: 0, progress: null }, 'waiting')
    .row;
}

beforeEach(async () => {
  isAway = false;
  live = new Live({ index, overviews });
  const app = express();
  app.get('/live', (request, response) => live.listen(request, response, 1));
  server = app.listen(0, '127.0.0.1');
  server.on('connection', (socket) => sockets.push(socket));
  await once(server, 'listening');
});
afterEach(() => {
  live.close();
  for (const socket of sockets.splice(0)) socket.destroy();
  server.close();
});

/** A browser, and what it has received. */
async function browse() {
  const { port } = server.address() as AddressInfo;
  const socket = connect(port, '127.0.0.1');
  const heard = { socket, text: '' };
  socket.on('data', (chunk) => {
    heard.text += chunk;
  });
  socket.write('GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await until(() => heard.text.includes('"overview"'));
  return heard;
}

describe('live events', () => {
  it('tell of a job that changed often its last state alone', async () => {
    const heard = await browse();
    for (let change = 1; change <= 100; change += 1) tell([row('j', `change ${change}.`)]);
    await until(() => heard.text.includes('change 100.'));
    expect(heard.text.match(/"type":"job"/g)).toHaveLength(1);
  });

  it('do not pile up before a reader that does not read', async () => {
    const heard = await browse();
    const [socket] = sockets;
    heard.socket.pause();
    const long = 'x'.repeat(250);
    let round = 0;
    const flood = () => {
      round += 1;
      tell(Array.from({ length: 1_000 }, (_, i) => row(`${round}-${i}`, long)));
    };
    // Until the buffers of the machine are full.
    await until(() => {
      flood();
      return socket!.writableNeedDrain;
    });
    await new Promise((resolve) => setTimeout(resolve, 500)); // What the kernel still takes.
    const held = socket!.writableLength;
    for (let more = 0; more < 20; more += 1) {
      flood();
      await new Promise((resolve) => setTimeout(resolve, 20)); // Some of the ticks in which it would send.
    }
    expect(socket!.writableLength).toBe(held);
    expect(held).toBeLessThan(64 * 1024);
    heard.socket.resume();
    tell([row('last', 'the last one')]);
    await until(() => heard.text.includes('the last one'));
  });

  it('cost nothing while nobody listens, and end with the server', async () => {
    expect(listeners).toBe(0);
    const [first, second] = [await browse(), await browse()];
    expect(listeners).toBe(1);
    first.socket.destroy();
    live.close();
    await until(() => second.text.endsWith('0\r\n\r\n')); // The end of what is sent in chunks.
    await until(() => listeners === 0);
  });

  it('are over for whoever left before they began', async () => {
    const app = express();
    const told = new Promise<boolean>((resolve) => {
      app.get('/late', async (request, response) => {
        left.abort();
        await once(response, 'close');
        resolve(new EventStream(request, response).signal.aborted);
      });
    });
    const other = app.listen(0, '127.0.0.1');
    await once(other, 'listening');
    const left = new AbortController();
    const { port } = other.address() as AddressInfo;
    await fetch(`http://127.0.0.1:${port}/late`, { signal: left.signal }).catch(() => {});
    expect(await told).toBe(true);
    other.close();
  });

  it('are for so many at a time', async () => {
    const all = await Promise.all(Array.from({ length: 256 }, () => browse()));
    const { port } = server.address() as AddressInfo;
    const ask = async () => {
      const left = new AbortController();
      const { status } = await fetch(`http://127.0.0.1:${port}/live`, { signal: left.signal });
      left.abort();
      return status;
    };
    expect(await ask()).toBe(503);
    all[0]!.socket.destroy();
    await until(async () => (await ask()) === 200);
  });

  it('say once that Redis is away, and that it is back', async () => {
    const heard = await browse();
    isAway = true;
    index.version += 1;
    await until(() => heard.text.includes('"away"'));
    isAway = false;
    await until(() => heard.text.includes('"back"'));
    expect(heard.text.match(/"away"/g)).toHaveLength(1);
  });
});
