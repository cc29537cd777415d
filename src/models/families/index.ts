import { InputError } from '../../errors.js';
import type { Family } from './family.js';
import { fastVlm } from './fast-vlm.js';
import { llava } from './llava.js';
import { llavaNext } from './llava-next.js';
import { llavaOnevision } from './llava-onevision.js';
import { miniGemini } from './mini-gemini.js';
import { nanollava } from './nanollava.js';
import { qwen2Vl, qwen3Vl, qwen25Vl, qwen35 } from './qwen-vl.js';
import { idefics3, smolvlm } from './smolvlm.js';
import { videoLlava } from './video-llava.js';

/** Every family that is known. */
export const families: readonly Family[] = [
  ...[llava, llavaNext, videoLlava, llavaOnevision, miniGemini, fastVlm, nanollava, smolvlm, idefics3],
  ...[qwen2Vl, qwen25Vl, qwen3Vl, qwen35],
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
