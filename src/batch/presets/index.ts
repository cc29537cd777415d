import { activityNetQa } from './activitynet-qa.js';
import { egoSchema } from './egoschema.js';
import { longVideoBench } from './longvideobench.js';
import { mlvu } from './mlvu.js';
import { msrvttQa } from './msrvtt-qa.js';
import { msvdQa } from './msvd-qa.js';
import { mvBench } from './mvbench.js';
import { nextQa } from './next-qa.js';
import type { Preset } from './preset.js';
import { videoMme } from './video-mme.js';

const presets: Readonly<Record<string, Preset>> = {
  'msvd-qa': msvdQa,
  'msrvtt-qa': msrvttQa,
  'activitynet-qa': activityNetQa,
  mvbench: mvBench,
  'video-mme': videoMme,
  'next-qa': nextQa,
  egoschema: egoSchema,
  mlvu: mlvu,
  longvideobench: longVideoBench,
};

export const presetNames = Object.keys(presets);

export function presetOf(name: string): Preset {
  return presets[name]!;
}
