import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  type AttributeProto,
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  type GraphProto,
  GraphProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  TensorProtoSchema,
  TypeProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from './onnx_pb.js';

/** TensorProto.DataType. */
export const elementTypes = { float32: 1, int32: 6, int64: 7, bool: 9, float16: 10 } as const;

/** Which input of an operator is of its output's type, where it is not the first. */
const typedInput: Readonly<Record<string, number>> = {
  Where: 1,
  DequantizeLinear: 1,
  MatMulIntegerToFloat: 2,
};

/** A dimension: a number, or the name of one that is known only at run time. */
export type Dimension = number | string;

/** A graph as a web of named tensors: who makes each and who uses it. */
export class Graph {
  readonly #makers = new Map<string, NodeProto>();
  readonly #users = new Map<string, NodeProto[]>();
  readonly #weights = new Map<string, TensorProto>();
  #added = 0;

  /** `outside`: the graph whose branch this is, and whose tensors it sees. `prefix`: of the names of what is added. */
  constructor(
    readonly proto: GraphProto,
    readonly outside?: Graph,
    readonly prefix = 'visionzip',
  ) {
    for (const node of proto.node) this.#index(node);
    for (const tensor of proto.initializer) this.#weights.set(tensor.name, tensor);
  }

  /** The node that makes a tensor; none for inputs and weights. */
  maker(tensor: string): NodeProto | undefined {
    return this.#makers.get(tensor);
  }

  /** The nodes that use a tensor, in the file's order. */
  users(tensor: string): readonly NodeProto[] {
    return this.#users.get(tensor) ?? [];
  }

  /** A weight, of this graph or of those around it, or what a Constant node holds. */
  constant(tensor: string): TensorProto | undefined {
    const node = this.maker(tensor);
    if (node) return node.opType === 'Constant' ? attribute(node, 'value')?.t : undefined;
    return this.#weights.get(tensor) ?? this.outside?.constant(tensor);
  }

  /** The whole numbers that a small constant holds. */
  numbers(tensor: string): number[] | undefined {
    const constant = this.constant(tensor);
    if (constant?.dataType !== elementTypes.int64 || constant.externalData.length > 0) return undefined;
    return numbersOf(constant);
  }

  /** What kind of numbers a tensor holds, of a graph in which most operators give what they take. */
  elementType(tensor: string): number {
    const node = this.maker(tensor);
    if (node?.opType === 'Cast') return Number(attribute(node, 'to')!.i);
    if (node) return this.elementType(node.input[typedInput[node.opType] ?? 0]!);
    const given = this.proto.input.find(({ name }) => name === tensor)?.type?.tensorType;
    return this.constant(tensor)?.dataType ?? given?.elemType ?? elementTypes.float32;
  }

  nodes(...opTypes: string[]): NodeProto[] {
    return this.proto.node.filter(({ opType }) => opTypes.includes(opType));
  }

  /** Adds a node and returns the name of its output, or of the first of several. */
  add(
    opType: string,
    inputs: readonly string[],
    attributes: AttributeProto[] = [],
    domain = '',
    outputs = 1,
  ): string {
    const output = this.#name(opType);
    this.put(output, opType, inputs, attributes, domain);
    const node = this.maker(output)!;
    for (let i = 1; i < outputs; i++) node.output.push(`${output}/${i}`);
    return output;
  }

  /** Adds a node that makes the tensor of this name. */
  put(
    output: string,
    opType: string,
    inputs: readonly string[],
    attributes: AttributeProto[] = [],
    domain = '',
  ): void {
    const node = create(NodeProtoSchema, {
      name: output,
      opType,
      domain,
      input: [...inputs],
      output: [output],
      attribute: attributes,
    });
    this.proto.node.push(node);
    this.#index(node);
  }

  /** Adds a constant vector and returns its name. */
  int64s(values: readonly number[]): string {
    return this.#constant(elementTypes.int64, {
      dims: [BigInt(values.length)],
      int64Data: values.map(BigInt),
    });
  }

  /** Adds a constant scalar and returns its name. */
  float32(value: number): string {
    return this.#constant(elementTypes.float32, { floatData: [value] });
  }

  /** Lets every node that uses a tensor use another instead. */
  reroute(from: string, to: string): void {
    for (const node of this.users(from)) redirect(node, from, to);
    this.#users.set(to, [...this.users(to), ...this.users(from)]);
    this.#users.delete(from);
  }

  /** Gives what a node makes another name, for its users too, so that the old one is free. */
  rename(from: string, to: string): void {
    const node = this.#makers.get(from);
    if (!node) throw new Error(`no node makes ${from}`);
    node.output = node.output.map((output) => (output === from ? to : output));
    this.#makers.delete(from);
    this.#makers.set(to, node);
    this.reroute(from, to);
  }

  /** Every tensor that a tensor is computed from, itself included. `through` says at which nodes to go on. */
  ancestors(tensors: readonly string[], through: (node: NodeProto) => boolean = () => true): Set<string> {
    const seen = new Set<string>();
    const open = [...tensors];
    for (let tensor = open.pop(); tensor !== undefined; tensor = open.pop()) {
      if (seen.has(tensor)) continue;
      seen.add(tensor);
      const maker = this.maker(tensor);
      if (maker && through(maker)) open.push(...readBy(maker));
    }
    return seen;
  }

  /** Every tensor that is computed from a tensor, itself included. */
  descendants(tensor: string): Set<string> {
    const seen = new Set([tensor]);
    for (const reached of seen)
      for (const user of this.users(reached)) for (const output of user.output) if (output) seen.add(output);
    return seen;
  }

  /**
   * The part of the graph between some inputs and some outputs, as a graph of its own: nodes in an order in which they
   * can run, and the weights they use.
   */
  between(inputs: readonly ValueInfoProto[], outputs: readonly ValueInfoProto[], name: string): GraphProto {
    const given = new Set(inputs.map((input) => input.name));
    const ordered = new Set<NodeProto>();
    const needed = new Set<string>();
    const need = (tensor: string): void => {
      if (needed.has(tensor)) return;
      needed.add(tensor);
      const maker = given.has(tensor) ? undefined : this.maker(tensor);
      if (!maker || ordered.has(maker)) return;
      for (const input of readBy(maker)) need(input);
      ordered.add(maker);
    };
    for (const { name: output } of outputs) need(output);
    return create(GraphProtoSchema, {
      name,
      node: [...ordered],
      initializer: this.proto.initializer.filter((tensor) => needed.has(tensor.name)),
      input: [...inputs],
      output: [...outputs],
      valueInfo: this.proto.valueInfo.filter((value) => needed.has(value.name) && !given.has(value.name)),
    });
  }

  /** Puts the nodes into an order in which they can run, and leaves out those that no output needs. */
  sort(): void {
    this.proto.node = this.between(this.proto.input, this.proto.output, '').node;
  }

  #constant(dataType: number, value: MessageInitShape<typeof TensorProtoSchema>): string {
    const name = this.#name('Constant');
    const tensor = create(TensorProtoSchema, { name, dataType, ...(value as object) });
    this.proto.initializer.push(tensor);
    this.#weights.set(name, tensor);
    return name;
  }

  #name(opType: string): string {
    let name: string;
    do name = `${this.prefix}/${opType}_${this.#added++}`;
    while (this.#makers.has(name) || this.#weights.has(name));
    return name;
  }

  #index(node: NodeProto): void {
    for (const output of node.output) if (output) this.#makers.set(output, node);
    for (const input of new Set(readBy(node))) {
      const users = this.#users.get(input);
      if (users) users.push(node);
      else this.#users.set(input, [node]);
    }
  }
}

/** Lets a node, and what its branches take from outside, use another tensor. */
function redirect(node: NodeProto, from: string, to: string): void {
  node.input = node.input.map((input) => (input === from ? to : input));
  for (const { g, graphs } of node.attribute)
    for (const branch of g ? [g, ...graphs] : graphs) {
      for (const inner of branch.node) redirect(inner, from, to);
      for (const output of branch.output) if (output.name === from) output.name = to;
    }
}

/** The tensors a node reads, those that its branches take from outside included. */
function readBy(node: NodeProto): string[] {
  const branches = node.attribute.flatMap(({ g, graphs }) => [...(g ? [g] : []), ...graphs]);
  return [...node.input.filter(Boolean), ...branches.flatMap(takenFromOutside)];
}

function takenFromOutside(branch: GraphProto): string[] {
  const own = new Set([
    ...branch.initializer.map(({ name }) => name),
    ...branch.node.flatMap(({ output }) => output),
    ...branch.input.map(({ name }) => name),
  ]);
  const outputs = branch.output.map(({ name }) => name);
  return [...branch.node.flatMap(readBy), ...outputs].filter((name) => !own.has(name));
}

/** The numbers that a tensor holds itself; none of other types than those of shapes, truths and float32. */
export function numbersOf({ dataType, rawData, int64Data, int32Data, floatData }: TensorProto): number[] {
  if (int64Data.length > 0) return int64Data.map(Number);
  if (int32Data.length > 0) return [...int32Data];
  if (floatData.length > 0) return [...floatData];
  const view = new DataView(rawData.buffer, rawData.byteOffset, rawData.byteLength);
  const read = (width: number, at: (place: number) => number) =>
    Array.from({ length: Math.floor(rawData.length / width) }, (_, i) => at(i * width));
  if (dataType === elementTypes.int64) return read(8, (at) => Number(view.getBigInt64(at, true)));
  if (dataType === elementTypes.int32) return read(4, (at) => view.getInt32(at, true));
  if (dataType === elementTypes.float32) return read(4, (at) => view.getFloat32(at, true));
  return dataType === elementTypes.bool ? [...rawData] : [];
}

export function attribute(node: NodeProto, name: string): AttributeProto | undefined {
  return node.attribute.find((one) => one.name === name);
}

export function intAttribute(name: string, value: number): AttributeProto {
  return create(AttributeProtoSchema, { name, type: AttributeType.INT, i: BigInt(value) });
}

export function floatAttribute(name: string, f: number): AttributeProto {
  return create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f });
}

export function graphAttribute(name: string, g: GraphProto): AttributeProto {
  return create(AttributeProtoSchema, { name, type: AttributeType.GRAPH, g });
}

export function intsAttribute(name: string, values: readonly number[]): AttributeProto {
  return create(AttributeProtoSchema, { name, type: AttributeType.INTS, ints: values.map(BigInt) });
}

/** What an input or output is called, of which type and shape. */
export function valueInfo(name: string, elemType: number, shape: readonly Dimension[]): ValueInfoProto {
  const dim = shape.map((size) =>
    typeof size === 'number' ? { dimValue: BigInt(size) } : { dimParam: size },
  );
  const type = create(TypeProtoSchema, { tensorType: { elemType, shape: { dim } } });
  return create(ValueInfoProtoSchema, { name, type });
}
