import { Arena, type Chunk } from './arena.js';
import { attribute, Graph } from './graph.js';
import type { GraphProto, NodeProto } from './onnx_pb.js';
import { bytesOf, constantOf, inferNode, type Known } from './shapes.js';

/*
 * What a graph takes of ONNX Runtime's arena, for given inputs and without running it. Node after node, as the runtime does: a
 * tensor goes when its last user has run, one that is computed element by element may take the place of an input that goes
 * then, and one that only looks otherwise shares its place.
 */

/** Operators whose output is their input under another shape. */
const VIEWS = new Set(['Reshape', 'Squeeze', 'Unsqueeze', 'Flatten', 'Identity', 'Dropout']);
/** Operators that may write over an input of the output's size. */
const IN_PLACE = new Set([
  ...[
    'Add',
    'Sub',
    'Mul',
    'Div',
    'Pow',
    'Neg',
    'Exp',
    'Sqrt',
    'Abs',
    'Where',
    'Clip',
    'Relu',
    'Sigmoid',
    'Tanh',
    'Erf',
  ],
  ...['Not', 'Floor', 'Ceil', 'LeakyRelu', 'HardSigmoid', 'Log', 'Reciprocal', 'Softplus'],
]);

/** Attention in one operator, over all that it is given. */
const ATTENTIONS = new Set(['Attention', 'MultiHeadAttention', 'GroupQueryAttention']);

/** Memory that one or more tensors lie in. */
interface Place {
  readonly bytes: number;
  readonly chunk: Chunk;
  /** Uses to come. */
  uses: number;
}

/** The bytes that a run touches, beside weights and inputs. */
export function workBytes(proto: GraphProto, inputs: ReadonlyMap<string, Known>): number {
  const ordered = { ...proto, node: inOrder(new Graph(proto)) };
  return new Walk(new Graph(ordered), inputs).run();
}

/** The order in which ONNX Runtime runs nodes: what an output needs comes before it, and of that what is last in the file first. */
function inOrder(graph: Graph): NodeProto[] {
  const { length } = graph.proto.node;
  const places = new Map(graph.proto.node.map((node, i) => [node, isFused(graph, node) ? length + i : i]));
  const makers = (names: readonly string[]) =>
    [...new Set(names.flatMap((name) => graph.maker(name) ?? []))].sort(
      (a, b) => places.get(b)! - places.get(a)!,
    );
  const ordered = new Set<NodeProto>();
  const seen = new Set<NodeProto>();
  const need = (node: NodeProto): void => {
    if (seen.has(node)) return;
    seen.add(node);
    for (const maker of makers(readBy(node))) need(maker);
    ordered.add(node);
  };
  for (const node of makers(graph.proto.output.map(({ name }) => name))) need(node);
  return [...ordered];
}

/** A product and its scale become one node, which the runtime puts behind all that are in the file. */
function isFused(graph: Graph, { opType, input }: NodeProto): boolean {
  if (opType !== 'Mul' && opType !== 'Div') return false;
  const [product, scale] = [graph.maker(input[0]!), graph.constant(input[1]!)];
  return product?.opType === 'MatMul' && scale !== undefined;
}

class Walk {
  readonly #known: Map<string, Known>;
  readonly #places = new Map<string, Place>();
  readonly #uses = new Map<string, number>();
  readonly #arena = new Arena();

  constructor(
    readonly graph: Graph,
    inputs: ReadonlyMap<string, Known>,
  ) {
    this.#known = new Map(inputs);
    const { node, output } = graph.proto;
    for (const name of node.flatMap(readBy)) this.#uses.set(name, (this.#uses.get(name) ?? 0) + 1);
    // What leaves the graph stays to its end.
    for (const { name } of output) this.#uses.set(name, Number.POSITIVE_INFINITY);
  }

  run(): number {
    for (const node of this.graph.proto.node) if (node.opType !== 'Constant') this.#step(node);
    return this.#arena.touchedBytes;
  }

  lookUp(name: string): Known | undefined {
    const known = this.#known.get(name) ?? constantOf(this.graph, name);
    if (known) this.#known.set(name, known);
    return known;
  }

  #step(node: NodeProto): void {
    const inputs = node.input.map((name) => (name ? this.lookUp(name) : undefined));
    const branch = node.opType === 'If' ? this.#branch(node, inputs[0]) : undefined;
    const outputs = branch?.outputs ?? inferNode(node, inputs);
    node.output.forEach((name, i) => {
      if (!name) return;
      this.#known.set(name, outputs[i]!);
      this.#place(name, node, outputs[i]!, i === 0);
    });
    const scratch = (branch?.bytes ?? 0) + scratchBytes(node, inputs);
    if (scratch > 0) this.#arena.giveBack(this.#arena.take(scratch));
    for (const name of readBy(node)) this.#release(name);
    for (const name of node.output) if (name && !this.#uses.has(name)) this.#release(name);
  }

  /** Finds a tensor a place: its input's, or a new one. */
  #place(name: string, node: NodeProto, known: Known, isFirst: boolean): void {
    const uses = this.#uses.get(name) ?? 1;
    const host = isFirst ? this.#host(node, known) : undefined;
    if (host) host.uses += uses;
    const place = host ?? { bytes: bytesOf(known), uses, chunk: this.#arena.take(bytesOf(known)) };
    this.#places.set(name, place);
  }

  /** A place of an input that an output may lie in. */
  #host(node: NodeProto, known: Known): Place | undefined {
    const type = this.lookUp(node.input[0] ?? '')?.type;
    if (VIEWS.has(node.opType) || (node.opType === 'Cast' && type === known.type))
      return this.#places.get(node.input[0]!);
    if (!IN_PLACE.has(node.opType)) return undefined;
    const found = node.input.map((input) => this.#places.get(input));
    // Of tensors of several sizes the runtime does not know before a run which of them the output is like.
    if (found.some((place) => place && place.bytes !== bytesOf(known))) return undefined;
    return found.find(
      (place) =>
        place?.bytes === bytesOf(known) && place.uses === found.filter((other) => other === place).length,
    );
  }

  #release(name: string): void {
    const place = this.#places.get(name);
    if (!place) return;
    place.uses -= 1;
    if (place.uses === 0) this.#arena.giveBack(place.chunk);
  }

  /** Which branch is taken, where that is known; else the second, which goes on behind a past. */
  #branch(node: NodeProto, condition: Known | undefined) {
    const which = condition?.values?.[0] ? 'then_branch' : 'else_branch';
    const proto = attribute(node, which)?.g;
    if (!proto) return undefined;
    const walk = new Walk(new Graph(proto, this.graph), this.#known);
    const bytes = walk.run();
    return { bytes, outputs: proto.output.map(({ name }) => walk.lookUp(name) ?? { dims: [], type: 1 }) };
  }
}

/** What an operator takes beside its output: attention in one operator holds its probabilities. */
function scratchBytes({ opType, attribute }: NodeProto, inputs: readonly (Known | undefined)[]): number {
  if (!ATTENTIONS.has(opType)) return 0;
  const heads = Number(attribute.find(({ name }) => name === 'num_heads')?.i ?? 1n);
  const [batch = 1, tokens = 1] = inputs[0]!.dims;
  const before = opType === 'GroupQueryAttention' ? (inputs[3]?.dims[2] ?? 0) : 0;
  return batch * heads * tokens * (before + tokens) * 4;
}

/** The tensors that a node reads, those that its branches take from outside included. */
function readBy(node: NodeProto): string[] {
  const inner = node.attribute.flatMap(({ g }) => (g ? g.node.flatMap(readBy) : []));
  return [...node.input, ...inner].filter(Boolean);
}
