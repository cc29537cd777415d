import { describe, expect, it } from 'vitest';
import { chooseGraphs, parseDtypes, tellDtypes } from '../src/models/layout.js';

const graphs = (...suffixes: string[]) =>
  suffixes.flatMap((suffix) =>
    ['vision_encoder', 'embed_tokens', 'decoder_model_merged'].map((part) => `onnx/${part}${suffix}.onnx`),
  );
const without = (paths: readonly string[], ...gone: string[]) =>
  paths.filter((path) => !gone.some((name) => path.endsWith(name)));
const choose = (paths: readonly string[], wanted = {}) =>
  tellDtypes(chooseGraphs(paths, wanted, 'it').dtypes);

describe('the graphs of a published model', () => {
  const all = graphs('', '_fp16', '_q4', '_q4f16', '_quantized', '_bnb4', '_uint8');

  it('are of one type where all are there', () => {
    expect(choose(all)).toBe('q4');
    for (const wish of ['fp32', 'fp16', 'q4f16', 'bnb4', 'uint8', 'q8', 'int8'])
      expect(choose(all, { wish })).toBe(wish);
  });

  it('are of the nearest type where a part is not there in that of the decoder', () => {
    // As many repositories are: embeddings in fp16 and fp32 alone.
    const paths = without(
      all,
      ...graphs('_q4', '_q4f16', '_quantized', '_bnb4', '_uint8').filter((p) => p.includes('embed')),
    );
    expect(choose(paths, { wish: 'q4' })).toBe('vision=q4,embed=fp16,decoder=q4');
    expect(choose(without(paths, 'embed_tokens_fp16.onnx'))).toBe('vision=q4,embed=fp32,decoder=q4');
  });

  it('are the mix that the makers recommend, unless a type is asked for', () => {
    const mix = { vision: 'q4', embed: 'fp16', decoder: 'q4' } as const;
    expect(choose(all, { mix })).toBe('vision=q4,embed=fp16,decoder=q4');
    expect(choose(all, { mix, wish: 'fp16' })).toBe('fp16');
    expect(choose(all, { mix, wish: { decoder: 'fp32' } })).toBe('vision=q4,embed=fp16,decoder=fp32');
    expect(choose(graphs(''), { mix })).toBe('fp32');
  });

  it('are of a more precise type where that is smaller, unless a type was asked for', () => {
    // As in LLaVA-OneVision-0.5B, whose embedding is float32 in the file for 4 bits.
    const MB: Record<string, number> = {
      ...{ 'embed_tokens.onnx': 545, 'embed_tokens_q4.onnx': 545, 'embed_tokens_bnb4.onnx': 545 },
      ...{ 'embed_tokens_fp16.onnx': 272, 'embed_tokens_quantized.onnx': 136 },
      ...{ 'vision_encoder.onnx': 1600, 'vision_encoder_fp16.onnx': 797, 'vision_encoder_q4.onnx': 255 },
    };
    const bytesOf = (path: string) => MB[path.replace('onnx/', '')] ?? 300;
    expect(choose(all, { bytesOf })).toBe('vision=q4,embed=fp16,decoder=q4');
    expect(choose(all, { bytesOf, mix: { embed: 'q4' } })).toBe('q4');
    expect(choose(all, { bytesOf, wish: 'q4' })).toBe('q4');
    expect(choose(all, { bytesOf, wish: { decoder: 'q4' } })).toBe('q4');
    // Weights beside the graph count as well: of Qwen2-VL's tower those for 4 bits are float32.
    const data = ['onnx/vision_encoder.onnx_data', 'onnx/vision_encoder_q4.onnx_data'];
    const heavy = (path: string) => {
      if (data.includes(path)) return 2660;
      return path.startsWith('onnx/vision') ? 1 : bytesOf(path);
    };
    const paths = [...all, ...data];
    expect(choose(paths, { bytesOf: heavy })).toBe('vision=fp16,embed=fp16,decoder=q4');
  });

  it('are those of a prepared model already, where a tower of ours is there', () => {
    const paths = ['onnx/vision_tower.onnx', 'onnx/embed_tokens.onnx', 'onnx/decoder.onnx'];
    expect(() => chooseGraphs(paths, {}, 'nano')).toThrow(
      /: it is a prepared model, and can be asked as it is$/,
    );
  });

  it('have their weights beside them, by any of the names in use', () => {
    const data = [
      'onnx/decoder_model_merged.onnx_data',
      'onnx/decoder_model_merged.onnx_data_1',
      'onnx/vision_encoder.onnx.data',
    ];
    const others = ['onnx/decoder_model_merged_q4.onnx_data', 'onnx/decoder_model_merged.onnx.md'];
    expect(chooseGraphs([...graphs(''), ...data, ...others], {}, 'it').files).toEqual([
      ...graphs(''),
      ...data,
    ]);
  });

  it('are told apart from what is not there', () => {
    expect(() => choose(all, { wish: { vision: 'int8' } })).not.toThrow();
    expect(() => choose(graphs('_q4'), { wish: { embed: 'fp16' } })).toThrow(
      'it must hold onnx/embed_tokens as fp16 (ending "_fp16.onnx"); its graphs are onnx/vision_encoder_q4.onnx, ',
    );
    expect(() => choose([])).toThrow('it must hold onnx/vision_encoder; its graphs are none');
  });
});

describe('types of weights on a command line', () => {
  it('are one, or one for each part', () => {
    expect(parseDtypes('q8')).toBe('q8');
    expect(parseDtypes('vision=fp16,decoder=q4')).toEqual({ vision: 'fp16', decoder: 'q4' });
    for (const wrong of ['q5', 'vision', 'tower=q4', 'vision=q4=q8', ''])
      expect(() => parseDtypes(wrong)).toThrow(`vision=fp16,embed=fp16,decoder=q4, got "${wrong}"`);
  });
});
