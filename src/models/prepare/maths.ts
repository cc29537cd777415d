import { elementTypes, type Graph, intAttribute, intsAttribute } from '../graph/graph.js';

/** Operators whose form depends on the version. */
export class Maths {
  constructor(
    readonly graph: Graph,
    readonly opset: number,
  ) {}

  toFloat32(tensor: string): string {
    return this.graph.add('Cast', [tensor], [intAttribute('to', elementTypes.float32)]);
  }

  reduce(op: 'ReduceSum' | 'ReduceMean', tensor: string, axes: readonly number[], keepsAxes = false): string {
    const keep = intAttribute('keepdims', keepsAxes ? 1 : 0);
    return this.opset >= (op === 'ReduceSum' ? 13 : 18)
      ? this.graph.add(op, [tensor, this.graph.int64s(axes)], [keep])
      : this.graph.add(op, [tensor], [keep, intsAttribute('axes', axes)]);
  }

  slice(tensor: string, starts: readonly number[], ends: readonly number[], axes: readonly number[]): string {
    const { graph } = this;
    return graph.add('Slice', [tensor, graph.int64s(starts), graph.int64s(ends), graph.int64s(axes)]);
  }

  /** One more dimension in front. */
  unsqueeze(tensor: string): string {
    return this.opset >= 13
      ? this.graph.add('Unsqueeze', [tensor, this.graph.int64s([0])])
      : this.graph.add('Unsqueeze', [tensor], [intsAttribute('axes', [0])]);
  }

  /** The size of one dimension, as a vector of one. */
  size(tensor: string, axis: number): string {
    return this.graph.add('Gather', [this.graph.add('Shape', [tensor]), this.graph.int64s([axis])]);
  }

  /** To a shape of vectors that hold one size each. */
  reshape(tensor: string, sizes: readonly string[]): string {
    return this.graph.add('Reshape', [tensor, this.graph.add('Concat', sizes, [intAttribute('axis', 0)])]);
  }

  /** (B, N, h · K), or the same in fewer dimensions, → (B, N, h, K). */
  intoHeads(tensor: string, batch: string, tokens: string, heads: string): string {
    return this.reshape(tensor, [batch, tokens, heads, this.graph.int64s([-1])]);
  }
}
