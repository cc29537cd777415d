import { attribute, type Graph, intAttribute, intsAttribute, valueInfo } from '../graph/graph.js';
import type { NodeProto, ValueInfoProto } from '../graph/onnx_pb.js';

const PRODUCTS = new Set(['MatMul', 'FusedMatMul']);
/** What stands between the cache and its product: heads are repeated, keys turned. */
const MOVES = new Set(['Unsqueeze', 'Expand', 'Reshape', 'Transpose', 'Identity']);
const END = Number.MAX_SAFE_INTEGER;

/** How a layer's keys or values grow: `present` is `past` and behind it `added`, each (B, heads, length, width). */
interface Growth {
  readonly past: string;
  readonly added: string;
  readonly present: string;
  readonly heads: number;
  readonly width: number;
  readonly input: ValueInfoProto;
  readonly output: ValueInfoProto;
  /** The product that takes all of them as its second factor, and what they are multiplied by before. */
  readonly product: NodeProto;
  readonly scales: readonly string[];
}

/**
 * Lets a decoder give the keys and values of the new tokens alone, `appended.*` (B, heads, S, width), instead of the whole
 * longer cache, `present.*`, and read its past where it lies. Else a step joins past and new, repeats them for each head of
 * the queries, and copies them out of ONNX Runtime, which together takes longer than the weights.
 *
 * The past's inputs may be longer than what they hold: in use is what `attention_mask` covers beside the new tokens.
 * The rest of the graph does not see it. For a batch of one.
 *
 * Says whether the graph is built so that it can be done; if not, it is left as it is.
 */
export function appendToCache(graph: Graph): boolean {
  const growths = findGrowths(graph);
  if (!growths) return false;
  const cache = new Cache(graph, growths[0]!);
  for (const growth of growths) cache.answerShapes(growth);
  for (const growth of growths) {
    if (growth.output.name.endsWith('.key')) cache.splitScores(growth);
    else cache.splitMixing(growth);
    giveAdded(graph, growth);
  }
  graph.sort();
  return true;
}

/** Of every layer; none where one is built otherwise. */
function findGrowths(graph: Graph): Growth[] | undefined {
  const inputs = graph.proto.input.filter(({ name }) => /^past_key_values\.\d+\.(key|value)$/.test(name));
  const growths = inputs.flatMap((input) => findGrowth(graph, input) ?? []);
  return growths.length > 0 && growths.length === inputs.length ? growths : undefined;
}

function findGrowth(graph: Graph, input: ValueInfoProto): Growth | undefined {
  const name = input.name.replace('past_key_values', 'present');
  const output = graph.proto.output.find((one) => one.name === name);
  const join = output && graph.maker(uncast(graph, output.name));
  if (!output || join?.opType !== 'Concat' || join.input.length !== 2) return undefined;
  const [past = '', added = ''] = join.input;
  const axis = Number(attribute(join, 'axis')?.i);
  if (uncast(graph, past) !== input.name || (axis !== 2 && axis !== -2)) return undefined;
  const present = join.output[0]!;
  const reached = findProduct(graph, present);
  if (!reached || (name.endsWith('.value') && reached.scales.length > 0)) return undefined;
  const [, heads = 0, , width = 0] = input.type!.tensorType!.shape!.dim.map(({ dimValue }) =>
    Number(dimValue),
  );
  return { past, added, present, heads, width, input, output, ...reached };
}

/** What a tensor was before casts. */
function uncast(graph: Graph, tensor: string): string {
  const maker = graph.maker(tensor);
  return maker?.opType === 'Cast' ? uncast(graph, maker.input[0]!) : tensor;
}

/** The one product that a cache goes to. */
function findProduct(graph: Graph, tensor: string): Pick<Growth, 'product' | 'scales'> | undefined {
  const outputs = graph.proto.output.map(({ name }) => name);
  const users = graph
    .users(tensor)
    .filter(({ opType, output }) => opType !== 'Shape' && !outputs.includes(output[0]!));
  const [user] = users;
  if (!user || users.length > 1) return undefined;
  if (PRODUCTS.has(user.opType))
    return user.input[1] === tensor && !attribute(user, 'transA')?.i
      ? { product: user, scales: [] }
      : undefined;
  const others = user.input.filter((input) => input !== tensor);
  const isScale = user.opType === 'Mul' && graph.constant(others[0]!) !== undefined;
  if (!isScale && !(MOVES.has(user.opType) && user.input[0] === tensor)) return undefined;
  const found = findProduct(graph, user.output[0]!);
  return found && { ...found, scales: isScale ? [...found.scales, others[0]!] : found.scales };
}

/** What is new goes out in the place of all. */
function giveAdded(graph: Graph, { added, heads, width, output }: Growth): void {
  const { elemType } = output.type!.tensorType!;
  const name = output.name.replace('present', 'appended');
  graph.put(name, 'Cast', [added], [intAttribute('to', elemType)]);
  const info = valueInfo(name, elemType, ['batch', heads, 'sequence', width]);
  graph.proto.output = graph.proto.output.map((one) => (one === output ? info : one));
}

/** Products with a cache in two parts, and the lengths that they need. Lengths are vectors of one number. */
class Cache {
  readonly #batch: string;
  readonly #total: string;
  readonly #past: string;
  /** What the past's inputs hold beyond the past. */
  readonly #unused: string;
  /** How many heads the queries have. */
  readonly #heads: string;
  readonly #constants = new Map<string, string>();
  readonly #shapes = new Map<string, string>();

  constructor(
    readonly graph: Graph,
    { input, product }: Growth,
  ) {
    this.#batch = this.#size('inputs_embeds', 0);
    this.#total = this.#size('attention_mask', 1);
    this.#past = graph.add('Sub', [this.#total, this.#size('inputs_embeds', 1)]);
    this.#unused = graph.add('Sub', [this.#size(input.name, 2), this.#past]);
    this.#heads = this.#size(product.input[0]!, 1);
  }

  /** The other nodes that ask for the shape of the past, or of all, are told what is in use. */
  answerShapes({ past, present, input, heads, width }: Growth): void {
    const { graph } = this;
    for (const [tensor, length] of [
      [past, this.#past],
      [input.name, this.#past],
      [present, this.#total],
    ] as const)
      for (const node of graph
        .users(tensor)
        .filter(({ opType, output }) => opType === 'Shape' && !this.#isOwn(output[0]!))) {
        const shape = this.#join([this.#batch, this.#ints(heads), length, this.#ints(width)]);
        const range = ['start', 'end'].map((name) => attribute(node, name)?.i);
        const part = [this.#ints(Number(range[0] ?? 0n)), this.#ints(Number(range[1] ?? END))];
        graph.reroute(node.output[0]!, graph.add('Slice', [shape, ...part]));
      }
  }

  /** scores (B, h, S, total) = queries · keysᵀ */
  splitScores({ past, added, heads, width, product, scales }: Growth): void {
    const { graph } = this;
    const alpha = attribute(product, 'alpha')?.f ?? 1;
    const all = [...scales, ...(alpha === 1 ? [] : [graph.float32(alpha)])];
    const queries = all.reduce(
      (tensor, scale) => graph.add('Mul', [tensor, scale]),
      this.#group(product.input[0]!, heads, width),
    );
    const turn = (keys: string) => graph.add('Transpose', [keys], [intsAttribute('perm', [0, 1, 3, 2])]);
    const old = this.#slice(graph.add('MatMul', [queries, turn(past)]), this.#ints(0), this.#past);
    const scores = graph.add(
      'Concat',
      [old, graph.add('MatMul', [queries, turn(added)])],
      [intAttribute('axis', 3)],
    );
    graph.reroute(product.output[0]!, this.#ungroup(scores, 0));
  }

  /** mixed (B, h, S, width) = attention · values */
  splitMixing({ past, added, heads, width, product }: Growth): void {
    const { graph } = this;
    const attention = this.#group(product.input[0]!, heads, 0);
    const zeros = this.#ints(0, 0, 0, 0, 0, 0, 0);
    const old = this.#slice(attention, this.#ints(0), this.#past);
    const padded = graph.add('Pad', [old, this.#join([zeros, this.#unused])]);
    const recent = this.#slice(attention, this.#past, this.#ints(END));
    const mixed = graph.add('Add', [
      graph.add('MatMul', [padded, past]),
      graph.add('MatMul', [recent, added]),
    ]);
    graph.reroute(product.output[0]!, this.#ungroup(mixed, width));
  }

  /** (B, h, S, last) → (B, heads, h / heads · S, last): the heads that share keys and values, in one product. Last 0: as it is. */
  #group(tensor: string, heads: number, last: number): string {
    return this.graph.add('Reshape', [tensor, this.#ints(1, heads, -1, last)]);
  }

  /** And back. */
  #ungroup(tensor: string, last: number): string {
    const shape = keep(this.#shapes, String(last), () =>
      this.#join([this.#batch, this.#heads, this.#ints(-1), this.#ints(last)]),
    );
    return this.graph.add('Reshape', [tensor, shape]);
  }

  #slice(tensor: string, start: string, end: string): string {
    return this.graph.add('Slice', [tensor, start, end, this.#ints(3)]);
  }

  #size(tensor: string, axis: number): string {
    return this.graph.add('Gather', [this.graph.add('Shape', [tensor]), this.#ints(axis)]);
  }

  #ints(...values: number[]): string {
    return keep(this.#constants, values.join(), () => this.graph.int64s(values));
  }

  #join(parts: readonly string[]): string {
    return this.graph.add('Concat', parts, [intAttribute('axis', 0)]);
  }

  #isOwn(tensor: string): boolean {
    return tensor.startsWith('visionzip/');
  }
}

/** What a map holds for a key; made the first time. */
function keep(map: Map<string, string>, key: string, make: () => string): string {
  const made = map.get(key) ?? make();
  map.set(key, made);
  return made;
}
