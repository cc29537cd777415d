import { InputError } from '../../errors.js';
import type { Family } from './family.js';
import { fastVlm } from './fast-vlm.js';
import { llava } from './llava.js';
import { llavaNext } from './llava-next.js';
import { llavaOnevision } from './llava-onevision.js';
import { miniGemini } from './mini-gemini.js';
import { nanollava } from './nanollava.js';
import { smolvlm } from './smolvlm.js';
import { videoLlava } from './video-llava.js';

export const families: readonly Family[] = [
  ...[llava, llavaNext, videoLlava, llavaOnevision, miniGemini, fastVlm, nanollava, smolvlm],
];

/** By the `model_type` of config.json. Throws an InputError that says what was looked for and what was found. */
export function findFamily(modelType: string): Family {
  const family = families.find(({ modelTypes }) => modelTypes.includes(modelType));
  if (family) return family;
  const known = families.flatMap(({ modelTypes }) => modelTypes);
  throw new InputError(
    `config.json must have a \`model_type\` of ${known.join(', ')}; it has "${modelType}"`,
  );
}
