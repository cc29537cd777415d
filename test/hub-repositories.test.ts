import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { resultSchema } from '../queues/index.js';
import { HubServer } from './hub-server.js';
import { ffmpeg, h264, temporaryFolder, testPattern } from './media.js';
import { cli, documentOf } from './support/cli.js';
import { cliHere } from './support/cli-here.js';
import {
  EIGHT_TYPES,
  FIVE_TYPES,
  type Files,
  filler,
  graphs,
  nestedPreprocessing,
  preprocessing,
  readFixture,
  safetensors,
  surroundings,
  texts,
  withDataBeside,
} from './support/repository.js';

/*
 * From a repository with the files that the real ones have, to an answer, by commands alone: nobody edits a file. A row a
 * repository: which small model stands in for it, what lies around, and which of its files are asked for.
 */
interface Repository {
  readonly id: string;
  /** Of test/fixtures/published. */
  readonly fixture: string;
  readonly family: string;
  readonly license: string;
  /** What is chosen without `--dtype`. */
  readonly dtypes: { readonly vision: string; readonly embed: string; readonly decoder: string };
  /** Everything beside the graphs. */
  files(): Files;
  /** What of that is asked for. */
  readonly asked: readonly string[];
  /** The graphs that are chosen, with what lies beside them. */
  readonly graphs: readonly string[];
  /** Names of types that its graphs are there in, and files of weights beside each. */
  readonly types: readonly string[];
  readonly dataFiles?: number;
  /** As `model inspect` tells how it answers. */
  readonly answers?: string;
}

const SMALL = ['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json'];
const MIX = { vision: 'q4', embed: 'fp16', decoder: 'q4' };
const MIX_GRAPHS = ['decoder_model_merged_q4', 'embed_tokens_fp16', 'vision_encoder_q4'].map(
  (name) => `onnx/${name}.onnx`,
);

const MERGER_MIX = { vision: 'fp16', embed: 'fp16', decoder: 'q4' };
const MERGER_GRAPHS = ['decoder_model_merged_q4', 'embed_tokens_fp16', 'vision_encoder_fp16'].flatMap(
  (name) => [`onnx/${name}.onnx`, `onnx/${name}.onnx_data`],
);
/** Qwen's repositories: weights beside every graph. */
const merger = { dtypes: MERGER_MIX, graphs: MERGER_GRAPHS, types: FIVE_TYPES, dataFiles: 1 };

const repositories: readonly Repository[] = [
  {
    id: 'HuggingFaceTB/SmolVLM2-256M-Video-Instruct',
    ...{ fixture: 'smolvlm', family: 'smolvlm', license: 'apache-2.0' },
    ...{ dtypes: MIX, graphs: MIX_GRAPHS, types: EIGHT_TYPES },
    files: () => ({
      ...surroundings(),
      ...texts('smolvlm', 'chat_template.json'),
      ...preprocessing('smolvlm'),
      'processor_config.json': readFixture('smolvlm', 'processor_config.json'),
      'model.safetensors': filler('model.safetensors'),
    }),
    asked: [...SMALL, 'chat_template.json', 'preprocessor_config.json', 'processor_config.json'],
  },
  {
    id: 'llava-hf/llava-onevision-qwen2-0.5b-ov-hf',
    ...{ fixture: 'llava_onevision', family: 'llava_onevision', license: 'apache-2.0' },
    ...{ dtypes: MIX, graphs: MIX_GRAPHS, types: EIGHT_TYPES },
    files: () => ({
      ...surroundings(),
      ...texts('llava_onevision', 'chat_template.json'),
      ...preprocessing('llava_onevision'),
      'processor_config.json': readFixture('llava_onevision', 'processor_config.json'),
      'video_processor/preprocessor_config.json': filler('video'),
      'llava_onevision_arch.png': filler('png'),
      'model.safetensors': safetensors('llava_onevision'),
    }),
    // Of the original weights the newline's embedding.
    asked: [
      ...[...SMALL, 'chat_template.json', 'preprocessor_config.json', 'processor_config.json'],
      'model.safetensors',
    ],
  },
  {
    id: 'llava-hf/llava-interleave-qwen-0.5b-hf',
    ...{ fixture: 'llava_interleave', family: 'llava', license: 'tongyi-qianwen-research' },
    ...{ dtypes: MIX, graphs: MIX_GRAPHS, types: EIGHT_TYPES },
    files: () => ({
      ...surroundings(),
      ...texts('llava_interleave', 'chat_template.json'),
      ...preprocessing('llava_interleave'),
      'processor_config.json': readFixture('llava_interleave', 'processor_config.json'),
      'model.safetensors': filler('model.safetensors'),
    }),
    asked: [...SMALL, 'chat_template.json', 'preprocessor_config.json', 'processor_config.json'],
  },
  {
    id: 'onnx-community/nanoLLaVA-1.5',
    ...{ fixture: 'nanollava', family: 'llava', license: 'apache-2.0' },
    ...{ dtypes: MIX, graphs: MIX_GRAPHS, types: EIGHT_TYPES },
    files: () => ({
      ...surroundings(),
      ...texts('nanollava', 'tokenizer_config.json'),
      ...preprocessing('nanollava'),
    }),
    asked: [...SMALL, 'preprocessor_config.json'],
  },
  {
    id: 'onnx-community/FastVLM-0.5B-ONNX',
    ...{ fixture: 'fast_vlm', family: 'fast_vlm', license: 'apple-amlr' },
    ...{ dtypes: MIX, graphs: MIX_GRAPHS, types: EIGHT_TYPES },
    files: () => ({
      ...surroundings(),
      ...texts('fast_vlm', 'tokenizer_config.json'),
      ...preprocessing('fast_vlm'),
      'processor_config.json': readFixture('fast_vlm', 'processor_config.json'),
      'generation_config.json': JSON.stringify({
        ...{ bos_token_id: 297, eos_token_id: [298, 297], pad_token_id: 296 },
        ...{ do_sample: true, temperature: 0.7, top_k: 20, top_p: 0.8, repetition_penalty: 1.1 },
      }),
    }),
    asked: [...SMALL, 'preprocessor_config.json', 'processor_config.json'],
    answers:
      'greedy, repetition penalty 1.1; with `--generation model` at temperature 0.7, top k 20, top p 0.8',
  },
  {
    // As transformers 5 and today's exporters write a model: weights beside the graphs, settings in the processor's file.
    id: 'maker/llava-1.5-7b-ONNX',
    ...{ fixture: 'llava', family: 'llava', license: 'llama2' },
    dtypes: { vision: 'q4', embed: 'q4', decoder: 'q4' },
    ...{ types: FIVE_TYPES, dataFiles: 1 },
    graphs: [
      ...['decoder_model_merged_q4.onnx', 'decoder_model_merged_q4.onnx_data', 'embed_tokens_q4.onnx'],
      ...['embed_tokens_q4.onnx_data', 'vision_encoder_q4.onnx', 'vision_encoder_q4.onnx_data'],
    ].map((name) => `onnx/${name}`),
    files: () => ({
      ...surroundings(),
      ...texts('llava', 'chat_template.jinja'),
      ...nestedPreprocessing('llava'),
    }),
    asked: [
      ...[...SMALL, 'chat_template.jinja', 'preprocessor_config.json', 'processor_config.json'],
      'video_preprocessor_config.json',
    ],
  },
  {
    // The same in several files each, the original weights as well; both kinds of template.
    id: 'maker/llava-v1.6-vicuna-7b-ONNX',
    ...{ fixture: 'llava_next', family: 'llava_next', license: 'other' },
    dtypes: { vision: 'q4', embed: 'q4', decoder: 'q4' },
    ...{ types: FIVE_TYPES, dataFiles: 2 },
    graphs: [
      ...['decoder_model_merged_q4.onnx', 'decoder_model_merged_q4.onnx_data'],
      ...['decoder_model_merged_q4.onnx_data_1', 'embed_tokens_q4.onnx', 'embed_tokens_q4.onnx_data'],
      ...['vision_encoder_q4.onnx', 'vision_encoder_q4.onnx_data', 'vision_encoder_q4.onnx_data_1'],
    ].map((name) => `onnx/${name}`),
    files: () => ({
      ...surroundings(),
      ...texts('llava_next', 'chat_template.jinja'),
      ...nestedPreprocessing('llava_next'),
      'chat_template.json': '{"chat_template":"of older programs"}',
      'model-00001-of-00002.safetensors': filler('model-1'),
      'model-00002-of-00002.safetensors': safetensors('llava_next'),
      'model.safetensors.index.json': JSON.stringify({
        weight_map: {
          'model.other': 'model-00001-of-00002.safetensors',
          'model.image_newline': 'model-00002-of-00002.safetensors',
        },
      }),
    }),
    asked: [
      ...[...SMALL, 'chat_template.jinja', 'preprocessor_config.json', 'processor_config.json'],
      ...['video_preprocessor_config.json', 'model.safetensors.index.json'],
      'model-00002-of-00002.safetensors',
    ],
  },
  {
    id: 'HuggingFaceTB/SmolVLM-256M-Instruct',
    ...{ fixture: 'idefics3', family: 'idefics3', license: 'apache-2.0' },
    ...{ dtypes: MIX, graphs: MIX_GRAPHS, types: EIGHT_TYPES },
    files: () => ({
      ...surroundings(),
      ...texts('idefics3', 'chat_template.json'),
      ...preprocessing('idefics3'),
      'processor_config.json': readFixture('idefics3', 'processor_config.json'),
      'model.safetensors': filler('model.safetensors'),
    }),
    asked: [...SMALL, 'chat_template.json', 'preprocessor_config.json', 'processor_config.json'],
  },
  {
    id: 'onnx-community/Qwen2-VL-2B-Instruct',
    ...{ fixture: 'qwen2_vl', family: 'qwen2_vl', license: 'apache-2.0' },
    ...merger,
    files: () => ({
      ...surroundings(),
      ...texts('qwen2_vl', 'chat_template.json'),
      ...preprocessing('qwen2_vl'),
    }),
    asked: [...SMALL, 'chat_template.json', 'preprocessor_config.json'],
  },
  {
    id: 'onnx-community/Qwen2.5-VL-3B-Instruct-ONNX',
    ...{ fixture: 'qwen2_5_vl', family: 'qwen2_5_vl', license: 'qwen-research' },
    ...merger,
    files: () => ({
      ...surroundings(),
      ...texts('qwen2_5_vl', 'chat_template.jinja'),
      ...preprocessing('qwen2_5_vl'),
    }),
    asked: [...SMALL, 'chat_template.jinja', 'preprocessor_config.json'],
  },
  {
    // Without DeepStack, as it is published; the settings of pictures and videos in the processor's file, beside a stub.
    id: 'onnx-community/Qwen3-VL-2B-Instruct-ONNX',
    ...{ fixture: 'qwen3_vl_plain', family: 'qwen3_vl', license: 'apache-2.0' },
    ...merger,
    files: () => ({
      ...surroundings(),
      ...texts('qwen3_vl_plain', 'chat_template.jinja'),
      'preprocessor_config.json': '{\n  "processor_class": "Qwen3VLProcessor"\n}',
      'processor_config.json': readFixture('qwen3_vl_plain', 'processor_config.json'),
    }),
    asked: [...SMALL, 'chat_template.jinja', 'preprocessor_config.json', 'processor_config.json'],
  },
  {
    // With DeepStack, and videos in a file of their own.
    id: 'maker/Qwen3-VL-DeepStack-ONNX',
    ...{ fixture: 'qwen3_vl', family: 'qwen3_vl', license: 'apache-2.0' },
    ...merger,
    files: () => ({
      ...surroundings(),
      ...texts('qwen3_vl', 'chat_template.json'),
      ...preprocessing('qwen3_vl'),
      'video_preprocessor_config.json': readFixture('qwen3_vl', 'video_preprocessor_config.json'),
    }),
    asked: [
      ...[...SMALL, 'chat_template.json', 'preprocessor_config.json'],
      'video_preprocessor_config.json',
    ],
  },
  {
    id: 'onnx-community/Qwen3.5-0.8B-ONNX',
    ...{ fixture: 'qwen3_5', family: 'qwen3_5', license: 'apache-2.0' },
    ...merger,
    files: () => ({
      ...surroundings(),
      ...texts('qwen3_5', 'chat_template.jinja'),
      'processor_config.json': readFixture('qwen3_5', 'processor_config.json'),
    }),
    asked: [...SMALL, 'chat_template.jinja', 'processor_config.json'],
  },
];

const folder = temporaryFolder();
const clip = join(folder, 'clip.mp4');

beforeAll(async () => {
  await ffmpeg(...testPattern(160, 90, 10, 2), ...h264(), clip);
});

function graphsOf({ fixture, types, graphs: chosen, dataFiles }: Repository): Files {
  const all = graphs(fixture, types, chosen);
  return dataFiles ? withDataBeside(all, chosen, dataFiles) : all;
}

describe('a repository as the hub has it', () => {
  it.each(repositories.map((one) => [one.id, one] as const))(
    'becomes a model that answers: %s',
    async (id, repository) => {
      const { family, license, dtypes, answers = 'greedy' } = repository;
      const files = { ...repository.files(), ...graphsOf(repository) };
      const hub = await HubServer.start(id, files, { cardData: { license } });
      const home = join(folder, id.replace('/', '--'));
      const dir = join(home, 'visionzip', id.replace('/', '--'));
      const env = { HF_ENDPOINT: hub.endpoint, HF_HOME: home, VISIONZIP_MODEL_DIRS: '' };
      const here = async (...args: string[]) => {
        const ran = await cliHere(['model', ...args, '--json'], env, folder);
        expect(ran.code, ran.stderr).toBe(0);
        return { document: documentOf(ran), stderr: ran.stderr };
      };
      try {
        const { document: pulled, stderr } = await here('pull', id);
        expect(pulled).toMatchObject({ id, family, license: { name: license }, dtypes, dir });
        expect(stderr).toContain(`licence    ${license}\n`);
        expect(pulled.licenseWarning === null).toBe(license === 'apache-2.0');
        expect(hub.filesAsked).toEqual([...repository.asked, ...repository.graphs].sort());
        expect(hub.requests.filter((url) => url.startsWith('/api/'))).toHaveLength(2);
      } finally {
        await hub.stop();
      }
      const { document: prepared } = await here('prepare', dir);
      expect(prepared.manifest).toMatchObject({ family });
      const { document: inspected } = await here('inspect', dir);
      expect(inspected).toMatchObject({ name: id.replace('/', '--') });
      expect((await cliHere(['model', 'inspect', dir], env, folder)).stdout).toContain(
        `answers    ${answers}\n`,
      );
      const ask = ['ask', clip, 'What moves?', '--model', id.replace('/', '--'), '--frames', '4'];
      const asked = await cli([...ask, '--max-new-tokens', '5', '--json'], env);
      expect(asked.code, asked.stderr).toBe(0);
      const { tokens, answers: given } = resultSchema.parse(documentOf(asked));
      expect(tokens.after).toBeLessThan(tokens.before);
      expect(given).toHaveLength(1);
    },
  );
});
