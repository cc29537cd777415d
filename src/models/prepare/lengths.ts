import { toJsonString } from '@bufbuild/protobuf';
import { type Graph, intAttribute } from '../graph/graph.js';
import { type AttributeProto, AttributeProtoSchema, type NodeProto } from '../graph/onnx_pb.js';

/** How long things are when a decoder runs. Lengths are vectors of one number; each is computed once for all layers. */
export class Lengths {
  /** Tokens of the past that are in use. */
  readonly past: string;
  /** Those and the new ones. */
  readonly all: string;
  /** New ones. */
  readonly added: string;
  /** What the past's inputs hold beyond the past. */
  readonly unused: string;
  readonly #made = new Map<string, string>();
  readonly #own: ReadonlySet<string>;

  /** `pastInput`: (B, heads, length, width) */
  constructor(
    readonly graph: Graph,
    pastInput: string,
  ) {
    const sizes = { embeds: 'inputs_embeds', mask: 'attention_mask', past: pastInput };
    const shapes = Object.values(sizes).map((tensor) => graph.add('Shape', [tensor]));
    const [added, all, room] = shapes.map((shape, i) =>
      graph.add('Gather', [shape, this.ints(i === 2 ? 2 : 1)]),
    );
    this.#own = new Set(shapes);
    this.added = added!;
    this.all = all!;
    this.past = graph.add('Sub', [all!, added!]);
    this.unused = graph.add('Sub', [room!, this.past]);
  }

  /** A constant vector. */
  ints(...values: number[]): string {
    return this.#keep(values.join(), () => this.graph.int64s(values));
  }

  /** A vector of numbers and lengths, or the part of it from `start` to `end`. */
  shape(sizes: readonly (number | string)[], start = 0, end?: number): string {
    const from = start < 0 ? start + sizes.length : start;
    const parts = sizes.slice(from, end).map((size) => (typeof size === 'number' ? this.ints(size) : size));
    return this.#keep(parts.join(' '), () => this.graph.add('Concat', parts, [intAttribute('axis', 0)]));
  }

  /** What an operator makes of lengths. */
  once(opType: string, inputs: readonly string[], attributes: AttributeProto[] = []): string {
    const settings = attributes.map((one) => toJsonString(AttributeProtoSchema, one));
    const key = [opType, ...inputs, ...settings].join(' ');
    return this.#keep(key, () => this.graph.add(opType, inputs, attributes));
  }

  /** The nodes that ask for a tensor's shape, but for those here. */
  askers(tensor: string): NodeProto[] {
    return this.graph
      .users(tensor)
      .filter(({ opType, output }) => opType === 'Shape' && !this.#own.has(output[0]!));
  }

  #keep(key: string, make: () => string): string {
    const made = this.#made.get(key) ?? make();
    this.#made.set(key, made);
    return made;
  }
}
