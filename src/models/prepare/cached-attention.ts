import { attribute, elementTypes, type Graph } from '../graph/graph.js';
import type { NodeProto, ValueInfoProto } from '../graph/onnx_pb.js';
import { isData, PROJECTIONS } from './attention.js';

const PRODUCTS = new Set(['MatMul', 'FusedMatMul']);
/** What stands between a cache and its product: heads are repeated, keys turned. */
const ARRANGES = new Set(['Unsqueeze', 'Expand', 'Reshape', 'Transpose', 'Identity']);
/** What stands between scores and attention: a scale, a mask, a softmax. */
const WEIGHS = new Set([
  ...['Mul', 'Div', 'Add', 'Where', 'Max', 'Softmax', 'IsNaN'],
  ...['Cast', 'Identity', 'Dropout'],
]);
/** A head's width must be a multiple of this for GroupQueryAttention. */
const WIDTHS = 8;

/** How a layer's keys or values grow: `present` is the input's past and behind it `added`, each (B, heads, length, width). */
export interface Growth {
  readonly input: ValueInfoProto;
  readonly output: ValueInfoProto;
  readonly present: string;
  readonly added: string;
  readonly heads: number;
  readonly width: number;
}

/** What all are multiplied or divided by: a tensor of one number, or the number. */
export interface Scale {
  readonly opType: 'Mul' | 'Div';
  readonly by: string | number;
}

/** Attention over a cache, by MatMul, Softmax, MatMul. */
export interface CachedAttention {
  readonly keys: Growth;
  readonly values: Growth;
  /** (B, h, S, width), before the scales. */
  readonly queries: string;
  /** h */
  readonly heads: number;
  readonly scales: readonly Scale[];
  /** What comes out: (B, h, S, width). */
  readonly mixed: string;
}

/** Of every layer with a cache; none where one is built otherwise. */
export function findCachedAttentions(graph: Graph): CachedAttention[] | undefined {
  const keys = graph.proto.input.filter(({ name }) => /^past_key_values\.\d+\.key$/.test(name));
  const found = keys.flatMap((input) => findCachedAttention(graph, input) ?? []);
  return found.length > 0 && found.length === keys.length ? found : undefined;
}

function findCachedAttention(graph: Graph, keyInput: ValueInfoProto): CachedAttention | undefined {
  const valueInput = graph.proto.input.find(({ name }) => name === keyInput.name.replace(/key$/, 'value'));
  const [keys, values] = [findGrowth(graph, keyInput), valueInput && findGrowth(graph, valueInput)];
  if (!keys || !values || keys.heads !== values.heads || keys.width !== values.width) return undefined;
  const [scoring, mixing] = [findProduct(graph, keys.present), findProduct(graph, values.present)];
  if (!scoring || !mixing || mixing.scales.length > 0) return undefined;
  const [queries = ''] = scoring.node.input;
  const between = findScales(graph, scoring.node.output[0]!, mixing.node.input[0]!);
  const width = projectedWidth(graph, queries);
  const heads = (width ?? 0) / keys.width;
  if (!between || heads === 0 || !Number.isInteger(heads / keys.heads)) return undefined;
  const scales = [...scoring.scales, ...between];
  return { keys, values, queries, heads, scales, mixed: mixing.node.output[0]! };
}

function findGrowth(graph: Graph, input: ValueInfoProto): Growth | undefined {
  const name = input.name.replace('past_key_values', 'present');
  const output = graph.proto.output.find((one) => one.name === name);
  const join = graph.maker(name);
  const axis = join && Number(attribute(join, 'axis')?.i);
  const [past, added = ''] = join?.input ?? [];
  if (!output || join?.opType !== 'Concat' || join.input.length !== 2) return undefined;
  if (past !== input.name || (axis !== 2 && axis !== -2)) return undefined;
  const { elemType, shape } = input.type!.tensorType!;
  const [, heads = 0, , width = 0] = shape!.dim.map(({ dimValue }) => Number(dimValue));
  if (elemType !== elementTypes.float32 || width % WIDTHS !== 0) return undefined;
  return { input, output, present: name, added, heads, width };
}

/** The one product whose second factor a cache becomes, and what it is scaled by on the way. */
function findProduct(
  graph: Graph,
  tensor: string,
): { readonly node: NodeProto; readonly scales: readonly Scale[] } | undefined {
  const users = graph.users(tensor).filter(({ opType }) => opType !== 'Shape');
  const [user] = users;
  if (!user || users.length > 1) return undefined;
  if (PRODUCTS.has(user.opType)) {
    const alpha = attribute(user, 'alpha')?.f ?? 1;
    if (user.input[1] !== tensor || attribute(user, 'transA')?.i) return undefined;
    return { node: user, scales: alpha === 1 ? [] : [{ opType: 'Mul', by: alpha }] };
  }
  const scale = readScale(graph, user, tensor);
  if (!scale && !(ARRANGES.has(user.opType) && user.input[0] === tensor)) return undefined;
  const found = findProduct(graph, user.output[0]!);
  return found && { ...found, scales: scale ? [...found.scales, scale] : found.scales };
}

/** The scales between scores and attention, where nothing else than a mask and one softmax stands there. */
function findScales(graph: Graph, scores: string, attention: string): Scale[] | undefined {
  const behind = graph.descendants(scores);
  const tensors = [...graph.ancestors([attention])].filter(
    (tensor) => tensor !== scores && behind.has(tensor),
  );
  const nodes = tensors.map((tensor) => graph.maker(tensor)!);
  const softmaxes = nodes.filter(({ opType }) => opType === 'Softmax');
  if (softmaxes.length !== 1 || !nodes.every(({ opType }) => WEIGHS.has(opType))) return undefined;
  const products = nodes.filter(({ opType }) => opType === 'Mul' || opType === 'Div');
  const scales = products.flatMap(
    (node) => readScale(graph, node, node.input.find((one) => behind.has(one))!) ?? [],
  );
  return scales.length === products.length ? scales : undefined;
}

function readScale(graph: Graph, { opType, input }: NodeProto, scaled: string): Scale | undefined {
  if (opType !== 'Mul' && !(opType === 'Div' && input[0] === scaled)) return undefined;
  const by = input.find((one) => one !== scaled);
  return by && !isData(graph, by) ? { opType, by } : undefined;
}

/** How wide the projection is that a tensor comes from. */
function projectedWidth(graph: Graph, tensor: string): number | undefined {
  const widths = new Set<number>();
  graph.ancestors([tensor], (node) => {
    const width = outputWidth(graph, node);
    if (width) widths.add(width);
    // Numbers that were rounded come with a scale, which depends on what was before the projection.
    return !width && node.opType !== 'Shape' && node.opType !== 'DynamicQuantizeLinear';
  });
  return widths.size === 1 ? [...widths][0] : undefined;
}

/** Of a product by weights, none of others. */
function outputWidth(graph: Graph, node: NodeProto): number | undefined {
  if (!PROJECTIONS.has(node.opType)) return undefined;
  if (node.opType === 'MatMulNBits') return Number(attribute(node, 'N')!.i);
  const weights = node.input.flatMap((input) => graph.constant(input) ?? []);
  const size = weights.find(({ dims }) => dims.length === 2)?.dims[attribute(node, 'transB')?.i ? 0 : 1];
  return size === undefined ? undefined : Number(size);
}
