import { attribute, elementTypes, type Graph, numbersOf } from './graph.js';
import type { NodeProto, TensorProto } from './onnx_pb.js';

/*
 * The sizes of a graph's tensors for given inputs, without running it: shapes are followed from node to node, and so are the few
 * numbers that shapes are computed from. An operator that is not known gives what its first input is.
 */

/** What is known of a tensor before a run. */
export interface Known {
  readonly dims: readonly number[];
  readonly type: number;
  /** Its numbers, of tensors of shapes and the like. */
  readonly values?: readonly number[];
}

/** Tensors with more numbers than this are no shapes. */
const MOST_VALUES = 64;

const BYTES: Readonly<Record<number, number>> = {
  ...{ 1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 11: 8, 12: 4, 13: 8 },
  // ONNX Runtime's CPU kernels compute in float32 what is float16.
  10: 4,
};

export function bytesOf({ dims, type }: Known): number {
  return count(dims) * (BYTES[type] ?? 4);
}

export function count(dims: readonly number[]): number {
  return dims.reduce((product, size) => product * size, 1);
}

/** What a node's outputs are, in their order, where all of its inputs are known. */
export function inferNode(node: NodeProto, inputs: readonly (Known | undefined)[]): Known[] {
  const rule = rules[node.opType];
  const known = rule?.(inputs, node) ?? [];
  const first = known[0] ?? inputs[0] ?? { dims: [], type: elementTypes.float32 };
  return node.output.map((_, i) => known[i] ?? first);
}

/** A weight, and where it is small its numbers. */
function knownWeight(tensor: TensorProto): Known {
  const dims = tensor.dims.map(Number);
  const values = count(dims) <= MOST_VALUES ? numbersOf(tensor) : undefined;
  return { dims, type: tensor.dataType, ...(values && values.length === count(dims) && { values }) };
}

/** What the graph holds of a tensor. */
export function constantOf(graph: Graph, name: string): Known | undefined {
  const tensor = graph.constant(name);
  return tensor && knownWeight(tensor);
}

type Rule = (inputs: readonly (Known | undefined)[], node: NodeProto) => (Known | undefined)[] | undefined;

const int = (node: NodeProto, name: string, otherwise: number) =>
  Number(attribute(node, name)?.i ?? otherwise);
const ints = (node: NodeProto, name: string) => attribute(node, name)?.ints.map(Number);
const like = (known: Known, dims: readonly number[], values?: readonly number[]): Known => ({
  ...{ dims, type: known.type },
  ...(values && values.length <= MOST_VALUES && { values }),
});
const at = (axis: number, rank: number) => (axis < 0 ? axis + rank : axis);

/** The sizes of two tensors that are computed with element by element. */
function broadcast(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const [x, y] = [a[i - rank + a.length] ?? 1, b[i - rank + b.length] ?? 1];
    return x === 1 ? y : x;
  });
}

/** Element by element; `type` where it is not that of the inputs. */
function elementwise(compute?: (...numbers: number[]) => number, type?: number): Rule {
  return (inputs) => {
    const all = inputs.filter((input) => input !== undefined);
    const dims = all.map((input) => input.dims).reduce(broadcast, []);
    const result = { type: type ?? all.at(-1)!.type, dims };
    const rows = all.map(({ values }) => values);
    if (!compute || rows.some((row) => !row) || count(dims) > MOST_VALUES) return [result];
    // Numbers that shapes are made of are rows and single numbers.
    if (all.some((input) => count(input.dims) !== count(dims) && count(input.dims) !== 1)) return [result];
    const values = Array.from({ length: count(dims) }, (_, i) =>
      compute(...rows.map((row) => row![row!.length === 1 ? 0 : i]!)),
    );
    return [{ ...result, values }];
  };
}

const isWhole = (type: number) => type === elementTypes.int64 || type === elementTypes.int32;
const divide: Rule = (inputs, node) => {
  const whole = isWhole(inputs[0]!.type);
  return elementwise((a, b) => (whole ? Math.trunc(a / b!) : a / b!))(inputs, node);
};

const axesOf = (node: NodeProto, input: Known | undefined) => input?.values ?? ints(node, 'axes');

const squeeze: Rule = ([data, axes], node) => {
  const which = axesOf(node, axes)?.map((axis) => at(axis, data!.dims.length));
  const dims = data!.dims.filter((size, i) => !(which ? which.includes(i) : size === 1));
  return [like(data!, dims, data!.values)];
};

const unsqueeze: Rule = ([data, axes], node) => {
  const which = axesOf(node, axes) ?? [];
  const rank = data!.dims.length + which.length;
  const added = which.map((axis) => at(axis, rank));
  const rest = [...data!.dims];
  const dims = Array.from({ length: rank }, (_, i) => (added.includes(i) ? 1 : rest.shift()!));
  return [like(data!, dims, data!.values)];
};

const reshape: Rule = ([data, shape]) => {
  if (!shape?.values) return undefined;
  const dims = shape.values.map((size, i) => (size === 0 ? (data!.dims[i] ?? 1) : size));
  const open = dims.indexOf(-1);
  const rest = dims.reduce((product, size) => (size === -1 ? product : product * size), 1);
  if (open >= 0) dims[open] = rest === 0 ? 0 : count(data!.dims) / rest;
  return [like(data!, dims, data!.values)];
};

const concat: Rule = (inputs, node) => {
  const all = inputs.filter((input) => input !== undefined);
  const axis = at(int(node, 'axis', 0), all[0]!.dims.length);
  const total = all.reduce((sum, { dims }) => sum + dims[axis]!, 0);
  const values = all.every((input) => input.values) ? all.flatMap((input) => input.values!) : undefined;
  return [like(all[0]!, all[0]!.dims.with(axis, total), all[0]!.dims.length === 1 ? values : undefined)];
};

const gather: Rule = ([data, indices], node) => {
  const axis = at(int(node, 'axis', 0), data!.dims.length);
  const [before, after] = [data!.dims.slice(0, axis), data!.dims.slice(axis + 1)];
  const row = count(after);
  // Rows of what has one of anything before.
  const rows = count(before) === 1 && data!.values && indices!.values;
  const values = rows
    ? rows.flatMap((i) => data!.values!.slice(at(i, data!.dims[axis]!) * row).slice(0, row))
    : undefined;
  return [like(data!, [...before, ...indices!.dims, ...after], values)];
};

const slice: Rule = ([data, starts, ends, axes, steps], node) => {
  const from = starts?.values ?? ints(node, 'starts');
  const to = ends?.values ?? ints(node, 'ends');
  if (!from || !to) return undefined;
  const which = axesOf(node, axes) ?? from.map((_, i) => i);
  let dims = [...data!.dims];
  let { values } = data!;
  which.forEach((axis, i) => {
    const place = at(axis, dims.length);
    const size = dims[place]!;
    const step = steps?.values?.[i] ?? 1;
    const within = (value: number) => Math.min(Math.max(value < 0 ? value + size : value, 0), size);
    const length =
      step > 0
        ? Math.ceil(Math.max(0, within(to[i]!) - within(from[i]!)) / step)
        : Math.ceil((Math.min(at(from[i]!, size), size - 1) - Math.max(at(to[i]!, size), -1)) / -step);
    values = dims.length === 1 ? values?.slice(within(from[i]!), within(to[i]!)) : undefined;
    if (step !== 1) values = undefined;
    dims = dims.with(place, Math.max(0, length));
  });
  return [like(data!, dims, values)];
};

const split: Rule = ([data, sizes], node) => {
  const axis = at(int(node, 'axis', 0), data!.dims.length);
  const parts = node.output.length;
  const whole = data!.dims[axis]!;
  const each = sizes?.values ?? ints(node, 'split') ?? Array.from({ length: parts }, () => whole / parts);
  return each.map((size) => like(data!, data!.dims.with(axis, size)));
};

const expand: Rule = ([data, shape]) =>
  shape?.values ? [like(data!, broadcast(data!.dims, shape.values))] : undefined;

const tile: Rule = ([data, repeats]) =>
  repeats?.values
    ? [
        like(
          data!,
          data!.dims.map((size, i) => size * repeats.values![i]!),
        ),
      ]
    : undefined;

const constantOfShape: Rule = ([shape], node) => {
  if (!shape?.values) return undefined;
  const filler = attribute(node, 'value')?.t;
  const { type, values: [value = 0] = [] } = filler
    ? knownWeight(filler)
    : { type: elementTypes.float32, values: [0] };
  const values = count(shape.values) <= MOST_VALUES ? Array(count(shape.values)).fill(value) : undefined;
  return [like({ dims: [], type }, shape.values, values)];
};

const range: Rule = ([start, limit, delta]) => {
  const [from, to, by] = [start, limit, delta].map((input) => input?.values?.[0]);
  if (from === undefined || to === undefined || by === undefined) return undefined;
  const length = Math.max(0, Math.ceil((to - from) / by));
  const values = length <= MOST_VALUES ? Array.from({ length }, (_, i) => from + i * by) : undefined;
  return [like(start!, [length], values)];
};

const reduce: Rule = ([data, axes], node) => {
  const rank = data!.dims.length;
  const which = axesOf(node, axes)?.map((axis) => at(axis, rank)) ?? data!.dims.map((_, i) => i);
  const keeps = int(node, 'keepdims', 1) === 1;
  const dims = data!.dims.flatMap((size, i) => (which.includes(i) ? (keeps ? [1] : []) : [size]));
  return [like(data!, dims)];
};

/** (…, M, K) × (…, K, N); FusedMatMul may turn either. */
const matMul: Rule = ([a, b], node) => {
  const turn = (dims: readonly number[], name: string) =>
    int(node, name, 0) === 1 ? [...dims.slice(0, -2), dims.at(-1)!, dims.at(-2)!] : [...dims];
  const [x, y] = [turn(a!.dims, 'transA'), turn(b!.dims, 'transB')];
  const batch = broadcast(x.slice(0, -2), y.slice(0, -2));
  const type = node.opType === 'MatMulInteger' ? elementTypes.int32 : elementTypes.float32;
  return [{ dims: [...batch, ...x.slice(-2, -1), ...y.slice(-1)], type }];
};

const gemm: Rule = ([a, b], node) => {
  const rows = a!.dims[int(node, 'transA', 0) === 1 ? 1 : 0]!;
  return [like(a!, [rows, b!.dims[int(node, 'transB', 0) === 1 ? 0 : 1]!])];
};

const matMulNBits: Rule = ([a], node) => [like(a!, a!.dims.with(-1, int(node, 'N', 0)))];

/** (B, C, …): sizes behind a window that moves over the picture. */
function windowed(data: Known, node: NodeProto, channels: number, kernel: readonly number[]): Known {
  const sizes = data.dims.slice(2);
  const [strides, dilations] = ['strides', 'dilations'].map((name) => ints(node, name) ?? []) as [
    number[],
    number[],
  ];
  const pads = ints(node, 'pads') ?? [];
  const isSame = /SAME/.test(new TextDecoder().decode(attribute(node, 'auto_pad')?.s));
  const out = sizes.map((size, i) => {
    const stride = strides[i] ?? 1;
    if (isSame) return Math.ceil(size / stride);
    const reach = (kernel[i]! - 1) * (dilations[i] ?? 1) + 1;
    return Math.floor((size + (pads[i] ?? 0) + (pads[i + sizes.length] ?? 0) - reach) / stride) + 1;
  });
  return { dims: [data.dims[0]!, channels, ...out], type: elementTypes.float32 };
}

const convolution: Rule = (inputs, node) => {
  const weights = inputs[node.opType === 'QLinearConv' ? 3 : 1]!;
  return [windowed(inputs[0]!, node, weights.dims[0]!, weights.dims.slice(2))];
};
const pooling: Rule = ([data], node) => [
  windowed(data!, node, data!.dims[1]!, ints(node, 'kernel_shape') ?? []),
];
const globalPooling: Rule = ([data]) => [
  like(
    data!,
    data!.dims.map((size, i) => (i < 2 ? size : 1)),
  ),
];

const resize: Rule = ([data, , scales, sizes]) => {
  if (sizes?.values?.length) return [like(data!, sizes.values)];
  if (!scales?.values?.length) return undefined;
  return [
    like(
      data!,
      data!.dims.map((size, i) => Math.floor(size * scales.values![i]!)),
    ),
  ];
};

const topK: Rule = ([data, k], node) => {
  if (!k?.values) return undefined;
  const dims = data!.dims.with(at(int(node, 'axis', -1), data!.dims.length), k.values[0]!);
  return [like(data!, dims), { dims, type: elementTypes.int64 }];
};

const pad: Rule = ([data, pads]) => {
  const by = pads?.values;
  return (
    by && [
      like(
        data!,
        data!.dims.map((size, i) => size + by[i]! + by[i + data!.dims.length]!),
      ),
    ]
  );
};

const flatten: Rule = ([data], node) => {
  const axis = at(int(node, 'axis', 1), data!.dims.length);
  return [like(data!, [count(data!.dims.slice(0, axis)), count(data!.dims.slice(axis))])];
};

const transpose: Rule = ([data], node) => {
  const perm = ints(node, 'perm') ?? data!.dims.map((_, i) => i).reverse();
  return [
    like(
      data!,
      perm.map((i) => data!.dims[i]!),
    ),
  ];
};

/** What past keys and values (B, heads, past, width) become behind S new tokens. */
const grown = (past: Known | undefined, S: number) =>
  past && like(past, past.dims.with(2, past.dims[2]! + S));
const groupQuery: Rule = ([queries, , , keys, values], node) => {
  const packed = int(node, 'num_heads', 1) + 2 * int(node, 'kv_num_heads', 1);
  const width = keys ? keys.dims[3]! * int(node, 'num_heads', 1) : queries!.dims[2]!;
  const S = queries!.dims[1]!;
  const isPacked = keys && queries!.dims[2] === packed * keys.dims[3]!;
  return [
    like(queries!, queries!.dims.with(2, isPacked ? width : queries!.dims[2]!)),
    grown(keys, S),
    grown(values, S),
  ];
};
const multiHead: Rule = ([queries, , values]) => [
  like(queries!, queries!.dims.with(-1, values?.dims.length === 3 ? values.dims[2]! : queries!.dims.at(-1)!)),
];
const packedAttention: Rule = ([tokens, weights]) => [
  like(tokens!, tokens!.dims.with(2, weights!.dims[1]! / 3)),
];
/** Qwen3.5's recurrent layers: a sequence, and a state that keeps its size. */
const causalConv: Rule = ([data, , , state]) => [data, state];
const linearAttention: Rule = ([, , values, state]) => [values, state];

const shapeOf: Rule = ([data], node) => {
  const { dims } = data!;
  const part = dims.slice(int(node, 'start', 0), attribute(node, 'end') ? int(node, 'end', 0) : dims.length);
  return [{ dims: [part.length], type: elementTypes.int64, values: part }];
};
const cast: Rule = ([data], node) => {
  const type = int(node, 'to', 1);
  const values = isWhole(type) ? data!.values?.map(Math.trunc) : data!.values;
  return [like({ dims: [], type }, data!.dims, values)];
};
const constant: Rule = (_, node) => {
  const tensor = attribute(node, 'value')?.t;
  return tensor ? [knownWeight(tensor)] : [{ dims: [], type: elementTypes.float32 }];
};
const quantize: Rule = ([data]) => [
  { dims: data!.dims, type: 2 },
  { dims: [], type: elementTypes.float32 },
  { dims: [], type: 2 },
];
/** A norm's other outputs are its statistics; of those that add first, the fourth is the sum. */
const norm: Rule = ([data]) => [data, like(data!, []), like(data!, []), data];
const truth = elementTypes.bool;
const where: Rule = (inputs, node) => elementwise((is, a, b) => (is ? a! : b!))(inputs, node);

const rules: Readonly<Record<string, Rule>> = {
  Constant: constant,
  Shape: shapeOf,
  Cast: cast,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Reshape: reshape,
  Flatten: flatten,
  Transpose: transpose,
  Concat: concat,
  Gather: gather,
  Slice: slice,
  Split: split,
  Expand: expand,
  Tile: tile,
  ConstantOfShape: constantOfShape,
  Range: range,
  Resize: resize,
  Pad: pad,
  TopK: topK,
  MatMul: matMul,
  FusedMatMul: matMul,
  MatMulInteger: matMul,
  MatMulIntegerToFloat: matMul,
  DynamicQuantizeMatMul: matMul,
  Gemm: gemm,
  MatMulNBits: matMulNBits,
  MatMulBnb4: matMulNBits,
  Conv: convolution,
  FusedConv: convolution,
  ConvInteger: convolution,
  QLinearConv: convolution,
  MaxPool: pooling,
  AveragePool: pooling,
  GlobalAveragePool: globalPooling,
  GroupQueryAttention: groupQuery,
  MultiHeadAttention: multiHead,
  Attention: packedAttention,
  CausalConvWithState: causalConv,
  LinearAttention: linearAttention,
  DynamicQuantizeLinear: quantize,
  LayerNormalization: norm,
  SimplifiedLayerNormalization: norm,
  SkipLayerNormalization: norm,
  SkipSimplifiedLayerNormalization: norm,
  ...Object.fromEntries(
    ['ReduceMean', 'ReduceSum', 'ReduceMax', 'ReduceMin', 'ReduceL2', 'ReduceProd'].map((name) => [
      name,
      reduce,
    ]),
  ),
  Add: elementwise((a, b) => a + b!),
  Sub: elementwise((a, b) => a - b!),
  Mul: elementwise((a, b) => a * b!),
  Div: divide,
  Mod: elementwise((a, b) => ((a % b!) + b!) % b!),
  Pow: elementwise((a, b) => a ** b!),
  Min: elementwise(Math.min),
  Max: elementwise(Math.max),
  Neg: elementwise((a) => -a),
  Floor: elementwise(Math.floor),
  Ceil: elementwise(Math.ceil),
  Sqrt: elementwise(Math.sqrt),
  Where: where,
  Equal: elementwise((a, b) => Number(a === b), truth),
  Less: elementwise((a, b) => Number(a < b!), truth),
  Greater: elementwise((a, b) => Number(a > b!), truth),
  LessOrEqual: elementwise((a, b) => Number(a <= b!), truth),
  GreaterOrEqual: elementwise((a, b) => Number(a >= b!), truth),
  And: elementwise((a, b) => Number(a && b), truth),
  Or: elementwise((a, b) => Number(a || b), truth),
  Xor: elementwise((a, b) => Number(a !== b), truth),
  Not: elementwise((a) => Number(!a), truth),
};
