import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, expectTypeOf, it } from 'vitest';
import { Documents, failedReasonOf, failureDocument, UnreadableDocumentError } from '../queues/documents.js';
import { cancelledReason, keysOf } from '../queues/options.js';
import type { AskedQuestion, FaultKind, JobProgress, Result } from '../queues/schemas.js';
import type { Fault } from '../src/errors.js';
import type { VideoWarning } from '../src/media/types.js';
import type { Answer, AnswerOutcome, Plan, Progress, Question, Timings } from '../src/pipeline/types.js';
import { freshQueue, useRedis } from './support/redis.js';

const server = useRedis();
let redis: Redis;
beforeAll(() => {
  redis = new Redis(server.socket);
});
afterAll(() => redis.disconnect());

const failure = failureDocument('a', '[video] it is torn', { attempts: 1 });

function open() {
  const keys = keysOf(freshQueue(), 'ask');
  return { keys, documents: new Documents(redis, keys, 100) };
}

describe('a document that another version wrote', () => {
  it('is read with what this one does not know, at every depth', async () => {
    const { keys, documents } = open();
    const result = {
      ...{ id: 'b', status: 'completed', cached: false, novelty: { of: 'later' } },
      video: {
        ...{
          path: 'a',
          digest: 'd',
          sizeBytes: 1,
          codec: 'h264',
          durationSeconds: 1,
          fps: 1,
          width: 1,
          height: 1,
        },
        ...{ warnings: [{ kind: 'of-later', message: 'new', also: 1 }], depth: 8 },
      },
      answers: [
        {
          ...{ question: 'q', answer: 'a', finishReason: 'of-later', promptTokens: 1, newTokens: 1 },
          ...{ prefillMs: -1, generateMs: 1, cached: false, logits: [1] },
        },
      ],
      plan: {
        ...{
          frames: 1,
          events: 0,
          crops: 1,
          framesTogether: 1,
          tokensPerFrame: 1,
          budget: null,
          tokensPerFrameBefore: 1,
          contextLength: 1,
        },
        ...{ promptTokens: 1, maxNewTokens: 1, reason: '', overTime: {} },
      },
      reused: 'of-later',
      tokens: { before: 1, after: 1, merged: 0 },
      frames: [{ index: 0, ptsSeconds: 0, tokens: 1, kept: true }],
      timings: {
        ...{
          queueMs: 0,
          probeMs: 0,
          chooseMs: 0,
          decodeMs: 0,
          preprocessMs: 0,
          encodeMs: 0,
          compressMs: 0,
          projectMs: 0,
        },
        ...{
          prefillMs: 0,
          generateMs: 0,
          totalMs: 0,
          firstTokenMs: 0,
          onnxMs: 0,
          tokensPerSecond: 0,
          framesPerSecond: 0,
        },
        gateMs: 1,
      },
      model: { name: 'n', digest: 'd', dtype: 'fp32' },
      settings: { sampling: { auto: true }, compression: 'of-later', generation: {} },
      finishedAt: 'tomorrow',
    };
    await redis.set(keys.result('b'), JSON.stringify(result));
    expect(await documents.read('b')).toEqual(result);
  });

  it('may lack what older ones did not say', async () => {
    const { keys, documents } = open();
    await redis.set(
      keys.result('c'),
      JSON.stringify({ id: 'c', status: 'failed', error: 'old', finishedAt: '' }),
    );
    expect(await documents.read('c')).toMatchObject({ fault: null, attempts: 0 });
  });

  it('that cannot be read is told in a sentence, and gives way to a new one', async () => {
    const { keys, documents } = open();
    for (const text of ['no JSON', '{}', '{"id":"a","status":"completed"}']) {
      await redis.set(keys.result('a'), text);
      await expect(documents.read('a')).rejects.toThrow(
        new UnreadableDocumentError(
          'the document of the job "a" cannot be read: it is damaged, or of another version',
        ),
      );
      expect(await documents.writeOnce(failure)).toEqual(failure);
      expect(await documents.read('a')).toEqual(failure);
    }
  });
});

describe("a failure's kind", () => {
  it.each(['question', 'video', 'model', 'settings', 'internal'] as const)(
    '%s survives the record of the queue',
    (fault) => {
      const document = failureDocument('a', failedReasonOf(fault, 'a sentence\nof two lines'), {
        attempts: 2,
      });
      expect(document).toMatchObject({
        status: 'failed',
        fault,
        error: 'a sentence\nof two lines',
        attempts: 2,
      });
    },
  );

  it('is none where the job was cancelled', () => {
    expect(failureDocument('a', cancelledReason)).toMatchObject({ status: 'cancelled', fault: null });
    const impossible = failureDocument('a', 'torn', { finishedOn: 1e300 });
    expect(Date.parse(impossible.finishedAt)).toBeGreaterThan(Date.now() - 10_000);
  });
});

it('the schemas of the contract are the types of the pipeline', () => {
  expectTypeOf<Timings>().toEqualTypeOf<Readonly<Result['timings']>>();
  expectTypeOf<Plan>().toExtend<Result['plan']>();
  expectTypeOf<Result['plan']>().toExtend<Plan>();
  expectTypeOf<Answer & { cached: boolean }>().toExtend<Result['answers'][number]>();
  expectTypeOf<Omit<Result['answers'][number], 'cached'>>().toExtend<Answer>();
  expectTypeOf<Result['video']['warnings'][number]>().toExtend<VideoWarning>();
  expectTypeOf<VideoWarning>().toExtend<Result['video']['warnings'][number]>();
  expectTypeOf<AnswerOutcome['tokens']>().toExtend<Result['tokens']>();
  expectTypeOf<Progress>().toExtend<JobProgress>();
  expectTypeOf<JobProgress>().toExtend<Progress>();
  expectTypeOf<AskedQuestion>().toExtend<Question>();
  expectTypeOf<Question>().toExtend<AskedQuestion>();
  expectTypeOf<Fault | 'internal'>().toEqualTypeOf<FaultKind>();
});
