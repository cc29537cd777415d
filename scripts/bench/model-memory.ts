import { readFileSync } from 'node:fs';
import { framesAtOnce } from '../../src/models/batch.js';
import { describeModel } from '../../src/models/folder.js';
import { measureModel } from '../../src/models/inspect.js';
import { loadModel } from '../../src/models/load.js';
import { USUAL_TOKENS } from '../../src/models/memory.js';
import type { Model, PreparedFrame } from '../../src/models/types.js';

/*
 * What a model adds to a process, beside what was estimated: MODEL_DIR [TOKENS]. Loads it, encodes twice what the worker encodes at
 * once, prefills a usual prompt twice and goes on by a token. Prints JSON, in bytes; Linux only.
 */

const [dir = '', wanted = String(USUAL_TOKENS)] = process.argv.slice(2);
const description = await describeModel(dir);
const { memoryBytes } = await measureModel(dir, description.manifest);
const before = read('VmRSS');
const model = await loadModel(dir, { threads: 2 });
const loadedBytes = read('VmHWM') - before;
const frames = await pictures(model);
for (let run = 0; run < 2; run++) await model.vision.encode(frames);
const encodedBytes = read('VmHWM') - before;
for (let run = 0; run < 2; run++) await prefill(model);
const peakBytes = read('VmHWM') - before;
console.log(JSON.stringify({ memoryBytes, loadedBytes, encodedBytes, peakBytes }));

function read(line: 'VmRSS' | 'VmHWM'): number {
  const status = readFileSync('/proc/self/status', 'utf8');
  return Number(new RegExp(`${line}:\\s+(\\d+)`).exec(status)![1]) * 1024;
}

/** Frames of a usual video as the tower gets them at once: four, or a group of which a model makes tokens together. */
async function pictures({ vision }: Model): Promise<PreparedFrame[]> {
  const shape = { width: 640, height: 360 };
  const rgb = Uint8Array.from({ length: 640 * 360 * 3 }, (_, i) => i % 251);
  const frame = (index: number) => ({ ...shape, index, ptsSeconds: index, rgb });
  const { native } = vision;
  if (!native) return Promise.all(Array.from({ length: framesAtOnce }, (_, i) => vision.prepare(frame(i))));
  const grid = native.gridOf({ ...shape, frames: 8, isStill: false });
  const group = Array.from({ length: native.framesTogether }, (_, i) => frame(i));
  return [await native.prepare(group, grid, false)];
}

async function prefill({ language }: Model): Promise<void> {
  const { H, contextLength } = language;
  const S = Math.min(Number(wanted), contextLength - 1);
  const embeds = Float32Array.from({ length: S * H }, (_, i) => Math.sin(i * 1.379));
  const { cache } = await language.forward({ embeds, S }, null);
  await language.forward({ embeds: embeds.slice(0, H), S: 1 }, cache);
}
