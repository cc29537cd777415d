import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readGraph } from '../graph/read.js';
import { writeGraph } from '../graph/write.js';
import { scalesOverAll } from '../layout.js';
import { appendToCache } from './append.js';
import { cutLogits } from './logits.js';
import { settleEdges, type Task } from './task.js';
import { compareDecoders, compareRoundingDecoders, type Difference } from './verify.js';

/**
 * Writes a decoder that gives the keys and values of new tokens alone, where its graph can be changed so and then gives the
 * same as `whole`, the untouched one with settled edges, within `limit`. Returns how far it is from that; nothing, and no
 * file, where the decoder has to stay as it is.
 */
export async function prepareAppending(
  { path, config, graphs, threads, step }: Task,
  whole: string,
  file: string,
  limit: number,
): Promise<Difference[] | undefined> {
  const source = graphs.graphs.decoder;
  const model = await readGraph(join(path, source));
  settleEdges(model.graph!, config);
  cutLogits(model.graph!);
  if (!appendToCache(model, config)) return undefined;
  const written = join(path, file);
  await writeGraph(written, model, model.graph!);
  step(`comparing ${source}, which gives new keys and values alone`);
  try {
    const differences = scalesOverAll(graphs.dtypes.decoder)
      ? await compareRoundingDecoders(whole, written, limit, threads)
      : await compareDecoders(whole, written, true, threads);
    if (differences.every(({ largest, limit: own = limit }) => largest <= own)) return differences;
    step('it gives others: all keys and values go in and out');
  } catch (error) {
    step(`it cannot run: all keys and values go in and out (${(error as Error).message})`);
  }
  await rm(written);
  return undefined;
}
