/*
 * What can be pulled, for whoever chooses a model. From public copies of the repositories' lists of files and cards; a part
 * that no list showed is its parameters times the bytes of a weight. Figures are "about", and a repository may change: `model
 * pull` reads licence and sizes from the hub each time, and nothing here decides what it does.
 */

/** A repository of the hub in the layout of transformers.js. */
export interface PublishedModel {
  readonly id: string;
  /** As `findFamily` calls it by the repository's `model_type`. */
  readonly family: string;
  /** About. */
  readonly parameters: number;
  /** As the hub calls it. */
  readonly license: string;
  readonly tower: string;
  readonly visionZip: Place;
  /** Bytes of a download, about, by what `--dtype` is. Empty where no list of its files was seen. */
  readonly downloads: Readonly<Record<string, number>>;
}

/** Where VisionZip works in a model. */
export type Place =
  | 'before the projector'
  | 'behind the pooler'
  | 'behind the connector'
  | 'behind the merger';

const SIGLIP_384 = 'SigLIP SO400M/14, 384 px';
const SIGLIP_512 = 'SigLIP B/16, 512 px';
/** Embeddings in float16: exporters for 4 bits leave them in float32. */
const MIX = 'vision=q4,embed=fp16,decoder=q4';

export const publishedModels: readonly PublishedModel[] = [
  {
    id: 'HuggingFaceTB/SmolVLM2-256M-Video-Instruct',
    ...{ family: 'smolvlm', parameters: 0.26e9, license: 'apache-2.0', tower: SIGLIP_512 },
    visionZip: 'behind the connector',
    downloads: { [MIX]: 208e6, q4f16: 189e6 },
  },
  {
    id: 'HuggingFaceTB/SmolVLM2-500M-Video-Instruct',
    ...{ family: 'smolvlm', parameters: 0.51e9, license: 'apache-2.0', tower: SIGLIP_512 },
    visionZip: 'behind the connector',
    downloads: { [MIX]: 395e6, q4f16: 358e6 },
  },
  {
    id: 'HuggingFaceTB/SmolVLM2-2.2B-Instruct',
    ...{ family: 'smolvlm', parameters: 2.2e9, license: 'apache-2.0', tower: SIGLIP_384 },
    visionZip: 'behind the connector',
    downloads: {},
  },
  {
    id: 'HuggingFaceTB/SmolVLM-256M-Instruct',
    ...{ family: 'idefics3', parameters: 0.26e9, license: 'apache-2.0', tower: SIGLIP_512 },
    visionZip: 'behind the connector',
    downloads: { [MIX]: 208e6, q4f16: 189e6 },
  },
  {
    id: 'HuggingFaceTB/SmolVLM-500M-Instruct',
    ...{ family: 'idefics3', parameters: 0.51e9, license: 'apache-2.0', tower: SIGLIP_512 },
    visionZip: 'behind the connector',
    downloads: { [MIX]: 395e6, q4f16: 358e6 },
  },
  {
    id: 'llava-hf/llava-onevision-qwen2-0.5b-ov-hf',
    ...{ family: 'llava_onevision', parameters: 0.89e9, license: 'apache-2.0', tower: SIGLIP_384 },
    visionZip: 'behind the pooler',
    downloads: { [MIX]: 854e6, int8: 1.05e9, fp16: 2.07e9, fp32: 4.13e9 },
  },
  {
    id: 'llava-hf/llava-interleave-qwen-0.5b-hf',
    ...{ family: 'llava', parameters: 0.87e9, license: 'tongyi-qianwen-research', tower: SIGLIP_384 },
    visionZip: 'before the projector',
    downloads: { [MIX]: 874e6, int8: 1.04e9, fp16: 2.05e9 },
  },
  {
    id: 'Xenova/nanoLLaVA',
    ...{ family: 'llava', parameters: 1.0e9, license: 'apache-2.0', tower: SIGLIP_384 },
    visionZip: 'before the projector',
    downloads: { [MIX]: 874e6, 'vision=fp16,embed=fp16,decoder=q4f16': 1.38e9 },
  },
  {
    id: 'onnx-community/nanoLLaVA-1.5',
    ...{ family: 'llava', parameters: 1.0e9, license: 'apache-2.0', tower: SIGLIP_384 },
    visionZip: 'before the projector',
    downloads: { [MIX]: 874e6, 'vision=fp16,embed=fp16,decoder=q4f16': 1.38e9 },
  },
  {
    id: 'onnx-community/FastVLM-0.5B-ONNX',
    ...{ family: 'fast_vlm', parameters: 0.63e9, license: 'apple-amlr', tower: 'FastViTHD, 1024 px' },
    visionZip: 'before the projector',
    downloads: { q4f16: 0.81e9 },
  },
  {
    id: 'onnx-community/Qwen2-VL-2B-Instruct',
    ...{
      family: 'qwen2_vl',
      parameters: 2.2e9,
      license: 'apache-2.0',
      tower: 'ViT/14 with 2-D RoPE, any size',
    },
    visionZip: 'behind the merger',
    downloads: { q4f16: 2.67e9 },
  },
  {
    id: 'onnx-community/Qwen2.5-VL-3B-Instruct-ONNX',
    ...{ family: 'qwen2_5_vl', parameters: 3.75e9, license: 'qwen-research' },
    ...{ tower: 'ViT/14 with windows, any size', visionZip: 'behind the merger' },
    downloads: { q4f16: 2.55e9 },
  },
  {
    id: 'onnx-community/Qwen3-VL-2B-Instruct-ONNX',
    ...{ family: 'qwen3_vl', parameters: 2.1e9, license: 'apache-2.0', tower: 'ViT/16, any size' },
    visionZip: 'behind the merger',
    downloads: { q4: 1.53e9, q4f16: 1.37e9 },
  },
  {
    id: 'onnx-community/Qwen3.5-0.8B-ONNX',
    ...{ family: 'qwen3_5', parameters: 0.8e9, license: 'apache-2.0', tower: 'ViT/16, any size' },
    visionZip: 'behind the merger',
    downloads: { q4: 0.72e9, q4f16: 0.65e9 },
  },
  {
    id: 'onnx-community/Qwen3.5-2B-ONNX',
    ...{ family: 'qwen3_5', parameters: 2e9, license: 'apache-2.0', tower: 'ViT/16, any size' },
    visionZip: 'behind the merger',
    downloads: { q4: 1.75e9, q4f16: 1.58e9 },
  },
];
