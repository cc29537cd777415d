import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Session, Tensor } from '../../src/models/session.js';
import { splitBudget } from '../../src/models/split-budget.js';
import type { EncodedFrame, Model } from '../../src/models/types.js';
import { StageClock } from '../../src/pipeline/timings.js';
import { makeTokens, projectKept } from '../../src/pipeline/tokens.js';
import type { TokenBlock } from '../../src/pipeline/types.js';
import { createRandom } from '../clips/index.js';
import { type Method, methods } from './controls.js';

/** One way to show a clip to the language model. */
export interface Setting {
  /** Unique; results are kept under it. */
  readonly id: string;
  /** The frames are those of another clip, at this one's times. */
  readonly ofAnother?: true;
  /** `seed` names the clip. */
  show(frames: readonly EncodedFrame[], seed: string): Promise<TokenBlock[]>;
}

/** tokens (T, D) → (T, H). */
export type Project = (tokens: Float32Array, T: number) => Promise<Float32Array>;

/** Tokens a frame for 144 patches: 50, 25, 10, 5 and 2 %; as large a share where there are more patches. */
export function budgetsOf({ vision: { P } }: Pick<Model, 'vision'>): number[] {
  return [72, 36, 15, 7, 3].map((tokens) => Math.round((tokens * P) / 144));
}

/** The budget of the table of short clips: 15 of 144. */
export function mainBudget(model: Pick<Model, 'vision'>): number {
  return budgetsOf(model)[2]!;
}

/** Every patch token, as the family was trained. */
export function allTokens(model: Model): Setting {
  return {
    id: 'all',
    show: (frames) =>
      inTurn(frames, (frame) =>
        makeTokens(model, { frame: shapeOf(frame), encoded: [frame] }, null, new StageClock()),
      ),
  };
}

/** T tokens of each frame by a method, through the projector of the uncompressed model or a tuned one. */
export function kept(model: Model, method: Method, T: number, tuned?: Project): Setting {
  const { vision } = model;
  const project: Project = tuned ?? ((tokens, count) => vision.project(tokens, count, false));
  const projecting = { ...model, vision: { ...vision, project } };
  const { grid } = vision;
  return {
    id: keptId(method, T, tuned !== undefined),
    show: (frames, seed) =>
      inTurn(frames, (frame) => {
        const random = createRandom(`${seed}/${frame.index}`);
        const tokens = methods[method](frame, T, { grid, random });
        // Not every method says where its tokens came from.
        const one = {
          ...frame,
          T: tokens.length / frame.D,
          tokens,
          dominantIndices: [],
          contextualMembers: [],
        };
        return projectKept(projecting, shapeOf(frame), [one], true);
      }),
  };
}

/** Where VisionZip has no contextual tokens it is `dominant`, and with the same projector need not be asked twice. */
export function keptId(method: Method, T: number, tuned = false): string {
  if (tuned) return `${method} ${T} tuned`;
  return method === 'dominant' && isDominantOnly(T) ? keptId('visionzip', T) : `${method} ${T}`;
}

/** Whether VisionZip's split of T tokens leaves no contextual ones. */
export function isDominantOnly(T: number): boolean {
  return splitBudget(T).contextual === 0;
}

/** The projector that the worker uses with compression. */
export function workersProjector(model: Model): Project {
  return (tokens, T) => model.vision.project(tokens, T, true);
}

/** What a reader must know of all settings without a tuned projector. */
export const untuned =
  '*Untuned*: through the projector of all tokens. The shipped decoder was trained with VisionZip’s tokens, too, which ' +
  'matters here: training/README.md.';

/** All tokens, but what is to be seen at each time comes from another one. */
export function shuffled(model: Model): Setting {
  const { show } = allTokens(model);
  return {
    id: 'shuffled',
    show: async (frames, seed) => {
      const visual = await show(frames, seed);
      const order = createRandom(`${seed}/order`).shuffle([...visual.keys()]);
      return visual.map((block, i) => ({ ...block, embeds: visual[order[i]!]!.embeds }));
    },
  };
}

/** VisionZip's tokens of another clip's frames: the prompt looks as ever, and tells nothing. */
export function another(model: Model): Setting {
  return { ...kept(model, 'visionzip', mainBudget(model)), id: 'another', ofAnother: true };
}

/** The question alone. */
export const blind: Setting = { id: 'blind', show: async () => [] };

async function inTurn(
  frames: readonly EncodedFrame[],
  show: (frame: EncodedFrame) => Promise<TokenBlock>,
): Promise<TokenBlock[]> {
  const blocks: TokenBlock[] = [];
  for (const frame of frames) blocks.push(await show(frame));
  return blocks;
}

/** Of a frame of a video the size does not matter. */
function shapeOf({ index, ptsSeconds }: EncodedFrame) {
  return { index, ptsSeconds, width: 0, height: 0 };
}

/** The tuned projectors `projector-METHOD.onnx` in a folder, of some methods. Throws where there is none. */
export async function loadProjectors(
  folder: string,
  wanted: readonly Method[],
  threads: number,
): Promise<Map<Method, Project>> {
  const projectors = new Map<Method, Project>();
  const fileOf = (method: Method) => `projector-${method}.onnx`;
  for (const method of wanted) {
    const file = join(folder, fileOf(method));
    if (!existsSync(file)) continue;
    const session = await Session.load(file, threads, { inputs: ['hidden'], outputs: ['visual_tokens'] });
    projectors.set(method, async (tokens, T) => {
      const out = await session.run({ hidden: new Tensor('float32', tokens, [T, tokens.length / T]) });
      return out.visual_tokens!.data as Float32Array;
    });
  }
  if (projectors.size > 0) return projectors;
  throw new Error(`\`--projectors\` ${folder} holds none of ${wanted.map(fileOf).join(', ')}`);
}
