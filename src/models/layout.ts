import { InputError } from '../errors.js';

/** Types of weights and the ending of their files, in the layout of transformers.js; what to take first stands first. */
const SUFFIXES = {
  q4: ['_q4'],
  int8: ['_int8', '_quantized'],
  q4f16: ['_q4f16'],
  fp16: ['_fp16'],
  fp32: [''],
} as const;

export type Dtype = keyof typeof SUFFIXES;

export const dtypes = Object.keys(SUFFIXES) as readonly Dtype[];

/** The newline's embedding (H) as NumPy writes it. Our exporter writes it; exports on the hub lack it. */
export const NEWLINE_FILE = 'onnx/image_newline.npy';

/** The graphs of a published model and their names in the layout. */
const PARTS = ['vision_encoder', 'embed_tokens', 'decoder_model_merged'] as const;

export type Part = (typeof PARTS)[number];

export interface Graphs {
  readonly dtype: Dtype;
  /** Paths below the model's folder. */
  readonly graphs: Readonly<Record<Part, string>>;
  /** The graphs and the files of their weights. */
  readonly files: readonly string[];
}

/**
 * The graphs of one type among the files of a model. Without a type, the first of q4, int8, q4f16, fp16 and fp32 that
 * has all of them. Throws an InputError that says what was looked for and what is there.
 */
export function chooseGraphs(paths: readonly string[], wanted: Dtype | undefined, model: string): Graphs {
  const there = new Set(paths);
  for (const dtype of wanted ? [wanted] : dtypes) {
    for (const suffix of SUFFIXES[dtype]) {
      const graphs = Object.fromEntries(
        PARTS.map((part) => [part, `onnx/${part}${suffix}.onnx`]),
      ) as Graphs['graphs'];
      const names = Object.values(graphs);
      if (!names.every((name) => there.has(name))) continue;
      const weights = paths.filter(
        (path) => names.includes(path.replace(/_data(_\d+)?$/, '')) && !names.includes(path),
      );
      return { dtype, graphs, files: [...names, ...weights] };
    }
  }
  const found = paths.filter((path) => path.endsWith('.onnx'));
  const kind = wanted
    ? ` as ${wanted} (ending ${SUFFIXES[wanted].map((s) => `"${s}.onnx"`).join(' or ')})`
    : '';
  throw new InputError(
    `${model} must hold onnx/{${PARTS.join(',')}}${kind}; its graphs are ${found.join(', ') || 'none'}`,
  );
}
