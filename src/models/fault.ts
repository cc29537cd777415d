import { InputError } from '../errors.js';

/**
 * What goes wrong with the files of a model is the model's fault, whoever noticed it: a schema, a tokenizer, a template, ONNX
 * Runtime. Faults of the machine stay what they are.
 *
 * @param subject what was read, for errors that do not name it.
 */
export async function blameModel<T>(subject: string, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw faultOfModel(subject, error);
  }
}

/** The error to throw for one that a model's file caused: see `blameModel`. */
export function faultOfModel(subject: string, error: unknown): unknown {
  if (error instanceof InputError) return new InputError(error.message, { fault: 'model', cause: error });
  // Whatever the system refused has a code.
  if (!(error instanceof Error) || 'code' in error || error.name === 'AbortError') return error;
  return new InputError(`${subject} cannot be used: ${error.message}`, { fault: 'model', cause: error });
}
