import { InputError } from '../../errors.js';
import { valueInfo } from '../graph/graph.js';
import type { GraphProto, ValueInfoProto } from '../graph/onnx_pb.js';
import type { PublishedConfig } from '../published-config.js';

const [HEADS, WIDTH] = [1, 3];

/**
 * Writes heads and width into the cache's inputs (B, heads, past, width) where an export only names them: config.json has
 * them. Says whether there were any. Throws an InputError where it has not.
 */
export function fixCacheShape(graph: GraphProto, config: PublishedConfig): boolean {
  const open = graph.input.filter((input) => input.name.startsWith('past_key_values.') && !isFixed(input));
  graph.input = graph.input.map((input) => (open.includes(input) ? withShape(input, config) : input));
  return open.length > 0;
}

function isFixed(input: ValueInfoProto): boolean {
  return sizes(input)[HEADS] !== 0 && sizes(input)[WIDTH] !== 0;
}

/** Zero where a size is known only at run time. */
function sizes({ type }: ValueInfoProto): number[] {
  return (type?.tensorType?.shape?.dim ?? []).map(({ dimValue }) => Number(dimValue));
}

function withShape(input: ValueInfoProto, config: PublishedConfig): ValueInfoProto {
  const text = config.text_config ?? config;
  const heads = sizes(input)[HEADS] || (text.num_key_value_heads ?? text.num_attention_heads);
  const width = text.head_dim ?? (text.hidden_size ?? Number.NaN) / (text.num_attention_heads ?? 0);
  if (!heads || !Number.isInteger(width))
    throw new InputError(
      'config.json must say `num_attention_heads`, and `head_dim` or `hidden_size`, in `text_config`: the decoder ' +
        `leaves the shape of ${input.name} open`,
    );
  return valueInfo(input.name, input.type!.tensorType!.elemType, ['batch', heads, 'past', width]);
}
