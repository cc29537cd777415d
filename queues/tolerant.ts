import { z } from 'zod';

/**
 * A schema for what another version may have written: fields that are not known are kept, at every depth, words of which
 * there were only some before may be any, and no value is refused for its range.
 */
export function tolerant(schema: z.core.$ZodType): z.ZodType {
  if (schema instanceof z.ZodObject) {
    const fields = Object.entries(schema.shape).map(([name, field]) => [name, tolerant(field)] as const);
    return z.looseObject(Object.fromEntries(fields));
  }
  if (schema instanceof z.ZodArray) return z.array(tolerant(schema.element));
  if (schema instanceof z.ZodReadonly) return tolerant(schema.unwrap());
  if (schema instanceof z.ZodOptional) return tolerant(schema.unwrap()).optional();
  if (schema instanceof z.ZodNullable) return tolerant(schema.unwrap()).nullable();
  if (schema instanceof z.ZodDefault) return tolerant(schema.unwrap()).default(schema.def.defaultValue);
  if (schema instanceof z.ZodUnion) return z.union(schema.options.map(tolerant));
  if (['enum', 'string'].includes(schema._zod.def.type)) return z.string();
  if (schema instanceof z.ZodNumber) return z.number();
  return schema as z.ZodType;
}
