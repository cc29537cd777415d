import { InputError } from '../errors.js';

/**
 * Types of weights and the ending of their files, in the layout of transformers.js; what to take first stands first. Makers
 * call files of 8 bits by several names.
 */
const SUFFIXES = {
  q4: ['_q4'],
  int8: ['_int8', '_quantized', '_q8'],
  q4f16: ['_q4f16'],
  bnb4: ['_bnb4'],
  q8: ['_quantized', '_q8', '_int8'],
  uint8: ['_uint8'],
  fp16: ['_fp16'],
  fp32: [''],
} as const;

export type Dtype = keyof typeof SUFFIXES;

export const dtypes = Object.keys(SUFFIXES) as [Dtype, ...Dtype[]];

/** From the least precise to the most, and so usually from the smallest to the largest: where a part is not there in a type, the nearest is taken, of two the larger. */
const BY_SIZE: readonly Dtype[] = ['bnb4', 'q4f16', 'q4', 'uint8', 'q8', 'int8', 'fp16', 'fp32'];

/** Types whose graphs scale over all that they are given: what they are given together depends on each other. */
export function scalesOverAll(dtype: Dtype): boolean {
  return ['int8', 'q8', 'uint8'].includes(dtype);
}

/** The newline's embedding (H) as NumPy writes it. Our exporter writes it; exports on the hub lack it. */
export const NEWLINE_FILE = 'onnx/image_newline.npy';

/** The graphs of a published model and their names in the layout. */
const FILES = {
  vision: 'vision_encoder',
  embed: 'embed_tokens',
  decoder: 'decoder_model_merged',
} as const;

export type Part = keyof typeof FILES;

export const parts = Object.keys(FILES) as readonly Part[];

export type PartDtypes = Readonly<Record<Part, Dtype>>;

/** One type, which is the decoder's, and the nearest for the other parts; or a type for some of the parts. */
export type DtypeWish = Dtype | Partial<PartDtypes>;

export interface Graphs {
  readonly dtypes: PartDtypes;
  /** Paths below the model's folder. */
  readonly graphs: Readonly<Record<Part, string>>;
  /** The graphs and the files of their weights. */
  readonly files: readonly string[];
}

/** A part in one of its types. */
interface Found {
  readonly dtype: Dtype;
  readonly file: string;
}

export interface WantedGraphs {
  readonly wish?: DtypeWish;
  /** What the family's makers recommend, for parts of which nothing is wished. */
  readonly mix?: Partial<PartDtypes>;
  /** How large files are, where that is known. */
  readonly bytesOf?: (path: string) => number;
}

/**
 * The graphs of a model, each of the type that is wished for. Without a wish, the family's mix; where it has none, the
 * decoder is the first of q4, int8, q4f16 … that is there, and the other parts are of the nearest type, unless a more precise
 * one is smaller. Throws an InputError that says what was looked for and what is there.
 */
export function chooseGraphs(paths: readonly string[], wanted: WantedGraphs, model: string): Graphs {
  const choose = (part: Part, near: Dtype | undefined) =>
    preferSmaller(paths, part, wanted, find(paths, part, candidates(part, wanted, near)));
  const decoder = find(paths, 'decoder', candidates('decoder', wanted, undefined));
  const chosen = {
    vision: choose('vision', decoder?.dtype),
    embed: choose('embed', decoder?.dtype),
    decoder,
  };
  for (const part of parts) if (!chosen[part]) throw missing(paths, part, wishOf(part, wanted), model);
  const of = <T>(pick: (one: Found) => T) =>
    Object.fromEntries(parts.map((part) => [part, pick(chosen[part]!)])) as Record<Part, T>;
  const graphs = of(({ file }) => file);
  const files = Object.values(graphs);
  return { dtypes: of(({ dtype }) => dtype), graphs, files: [...files, ...weightsOf(paths, files)] };
}

/** A part in the first of some types that it is there in. */
function find(paths: readonly string[], part: Part, types: readonly Dtype[]): Found | undefined {
  const there = new Set(paths);
  const found = types.flatMap((dtype) => {
    const names = SUFFIXES[dtype].map((suffix) => `onnx/${FILES[part]}${suffix}.onnx`);
    return names.filter((path) => there.has(path)).map((file) => ({ dtype, file }));
  });
  return found[0];
}

/** Types that a part may be of, the best first. */
function candidates(part: Part, wanted: WantedGraphs, near: Dtype | undefined): readonly Dtype[] {
  const own = wishOf(part, wanted);
  if (own) return [own];
  const { wish, mix = {} } = wanted;
  const first = wish === undefined || typeof wish === 'object' ? mix[part] : undefined;
  return [...(first ? [first] : []), ...(near ? byNearness(near) : dtypes)];
}

/** A wish for one type is a wish for the decoder's. */
function wishOf(part: Part, { wish }: WantedGraphs): Dtype | undefined {
  if (typeof wish === 'object') return wish[part];
  return part === 'decoder' ? wish : undefined;
}

/**
 * The most precise file of a part that is smaller than the one that was found: exporters leave in float32 what they cannot make
 * smaller, often the embedding, whatever type they call the file by. What is wished or recommended stays.
 */
function preferSmaller(
  paths: readonly string[],
  part: Part,
  { wish, mix = {}, bytesOf }: WantedGraphs,
  found: Found | undefined,
): Found | undefined {
  if (!found || !bytesOf || wish !== undefined || mix[part]) return found;
  const size = ({ file }: Found) =>
    [file, ...weightsOf(paths, [file])].reduce((sum, path) => sum + bytesOf(path), 0);
  const better = BY_SIZE.slice(BY_SIZE.indexOf(found.dtype) + 1).reverse();
  const all = better.flatMap((dtype) => find(paths, part, [dtype]) ?? []);
  return all.find((one) => size(one) < size(found)) ?? found;
}

function byNearness(to: Dtype): Dtype[] {
  const place = (dtype: Dtype) => BY_SIZE.indexOf(dtype);
  const distance = (dtype: Dtype) => Math.abs(place(dtype) - place(to));
  return [...BY_SIZE].sort((a, b) => distance(a) - distance(b) || place(b) - place(a));
}

/** The files that the weights of some graphs lie in: `X.onnx_data`, `X.onnx_data_1`, `X.onnx.data`. */
export function weightsOf(paths: readonly string[], graphs: readonly string[]): string[] {
  return paths.filter((path) => {
    const owner = path.replace(/[._]data(_\d+)?$/, '');
    return owner !== path && graphs.includes(owner);
  });
}

function missing(paths: readonly string[], part: Part, dtype: Dtype | undefined, model: string): InputError {
  const kind = dtype
    ? ` as ${dtype} (ending ${SUFFIXES[dtype].map((suffix) => `"${suffix}.onnx"`).join(' or ')})`
    : '';
  const found = paths.filter((path) => path.endsWith('.onnx'));
  const why = dtype ? '' : explainMissing(found, part);
  return new InputError(
    `${model} must hold onnx/${FILES[part]}${kind}; its graphs are ${found.join(', ') || 'none'}${why}`,
  );
}

/** What a repository without a part probably is. */
function explainMissing(graphs: readonly string[], part: Part): string {
  const isThere = (name: string) => graphs.some((path) => path.startsWith(`onnx/${name}`));
  if (graphs.length === 0)
    return ': graphs in the layout of transformers.js often have a repository of their own, whose name ends in -ONNX';
  if (part === 'decoder' && isThere('decoder'))
    return ': of decoders it needs the merged one, which runs with a cache and without';
  if (part === 'vision' && isThere('vision_tower'))
    return ': it is a prepared model, and can be asked as it is';
  if (part === 'vision' && (isThere('model') || isThere('decoder')))
    return ': it has no vision encoder, and seems to read text alone';
  return ': this is not the layout of transformers.js';
}

/** "q4", or "vision=fp16,embed=fp16,decoder=q4". */
export function tellDtypes(types: PartDtypes): string {
  const [first, ...rest] = new Set(Object.values(types));
  return rest.length === 0 ? first! : parts.map((part) => `${part}=${types[part]}`).join(',');
}

/** The reverse. Throws an InputError that says what was expected. */
export function parseDtypes(text: string): DtypeWish {
  if (isDtype(text)) return text;
  const pairs = text.split(',').map((pair) => pair.split('='));
  const isRight = pairs.every(
    ([part, dtype, ...more]) => parts.includes(part as Part) && isDtype(dtype ?? '') && more.length === 0,
  );
  if (isRight) return Object.fromEntries(pairs) as Partial<PartDtypes>;
  throw new InputError(
    `expected one of ${dtypes.join(', ')}, or types of parts such as vision=fp16,embed=fp16,decoder=q4, got "${text}"`,
  );
}

function isDtype(text: string): text is Dtype {
  return (dtypes as readonly string[]).includes(text);
}
