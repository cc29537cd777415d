/** Puts a question into the queue and waits for its answer: REDIS_URL=redis://… node enqueue.js VIDEO QUESTION */
import { JobRefusedError, QueueClient, RedisUnavailableError } from 'visionzip-worker/queue'; // or 'visionzip-queue'

const [video, question] = process.argv.slice(2);
if (!video || !question) throw new Error('expected a video and a question');

const client = new QueueClient({ connection: { url: process.env.REDIS_URL ?? 'redis://127.0.0.1:6379' } });
try {
  const document = await client.askAndWait({ video, questions: [question] }, { timeoutMs: 10 * 60_000 });
  if (document.status === 'completed') console.log(document.answers[0]?.answer);
  else
    console.error(`${document.status}, the fault of the ${document.fault ?? 'machine'}: ${document.error}`);
} catch (error) {
  if (!(error instanceof JobRefusedError || error instanceof RedisUnavailableError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
} finally {
  await client.close();
}
