import { totalmem } from 'node:os';
import { join } from 'node:path';
import { InputError } from '../errors.js';
import { blameModel } from './fault.js';
import { describeModel, type ModelDescription } from './folder.js';
import { isSmall, measureModel } from './inspect.js';
import { createLanguage } from './language.js';
import { readOutline } from './outline.js';
import type { Provider } from './providers.js';
import { Session } from './session.js';
import type { Model } from './types.js';
import { createVision } from './vision.js';

export interface LoadOptions {
  /** Threads that ONNX Runtime may use; default 1. */
  readonly threads?: number;
  /** Default cpu. */
  readonly provider?: Provider;
}

/**
 * Loads a prepared model folder. Blocks the thread for as long as ONNX Runtime takes.
 *
 * @throws InputError of the fault `model` that names what is missing or broken.
 */
export async function loadModel(dir: string, options: LoadOptions = {}): Promise<Model> {
  return blameModel(`the model in ${dir}`, () => load(dir, options));
}

async function load(dir: string, { threads = 1, provider = 'cpu' }: LoadOptions): Promise<Model> {
  const description = await describeModel(dir);
  await requireMemory(description);
  // All that can be wrong in a text file is found before anything large is loaded.
  const { outline, newline, preprocessor, eosTokenIds } = await readOutline(description);
  const { rope } = description.manifest;
  const { native } = outline.vision;
  const sessions = await loadSessions(description, threads, provider);
  const all = [...new Set(Object.values(sessions))].filter((session) => session !== undefined);
  const { contextLength } = outline.language;
  return {
    ...outline,
    vision: { ...outline.vision, ...createVision(description.manifest, sessions, { preprocessor, native }) },
    language: createLanguage({ ...sessions, contextLength, eosTokenIds, newline, rope }),
    onnxMs: () => all.reduce((sum, session) => sum + session.ms, 0),
    release: async () => {
      await Promise.all(all.map((session) => session.release()));
    },
  };
}

/**
 * Better a sentence now than a process that the system kills. Held against all the memory there is, or may be used: what is
 * free at the moment says little, since caches give way.
 */
async function requireMemory({ dir, name, manifest }: ModelDescription): Promise<void> {
  const limit = process.constrainedMemory();
  const most = limit > 0 ? Math.min(limit, totalmem()) : totalmem();
  if (await isSmall(dir, manifest, most)) return;
  const { memoryBytes } = await measureModel(dir, manifest);
  if (memoryBytes <= most) return;
  const mib = (bytes: number) => Math.ceil(bytes / 2 ** 20);
  throw new InputError(
    `${name} needs about ${mib(memoryBytes)} MiB of memory, this machine gives ${mib(most)} MiB; ` +
      'weights of a smaller type need less (`visionzip model pull --dtype q4`)',
  );
}

async function loadSessions({ dir, manifest }: ModelDescription, threads: number, provider: Provider) {
  const load = (file: string, inputs: string[], outputs: string[]) =>
    Session.load(join(dir, file), threads, { inputs, outputs }, provider);
  const { files } = manifest;
  const project = async (file: string | undefined) =>
    file === undefined ? undefined : load(file, ['hidden'], ['visual_tokens']);
  const scored = manifest.tower.keyWidth > 0 ? ['keys', 'scores'] : [];
  const tower = await load(files.visionTower, ['pixel_values'], ['hidden', ...scored]);
  const projector = await project(files.projector);
  const projectorTuned = (await project(files.projectorTuned)) ?? projector;
  const embedTokens = await load(files.embedTokens, ['input_ids'], ['inputs_embeds']);
  const decoder = await load(files.decoder, ['inputs_embeds', 'attention_mask'], ['logits']);
  return { tower, projector, projectorTuned, embedTokens, decoder };
}
