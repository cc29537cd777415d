import { InferenceSession, Tensor } from 'onnxruntime-node';
import { InputError } from '../errors.js';
import { faultOfModel } from './fault.js';
import type { Provider } from './providers.js';

/** The one file that knows ONNX Runtime. */
export { Tensor };

// ONNX Runtime 1.30 reports its use to its makers, and leaves files in the temporary folder, unless told not to
// before the first session.
process.env.ORT_DISABLE_TELEMETRY ??= '1';

/** How ONNX Runtime says that a graph does not fit what it is given, or itself; all else may be the machine's fault. */
const misfit = /invalid (dimensions|rank)|out of (data )?bounds|does not match|mismatch|INVALID_ARGUMENT/i;

/** A loaded graph. Counts the time spent inside ONNX Runtime. */
export class Session {
  #ms = 0;

  private constructor(
    readonly file: string,
    readonly inner: InferenceSession,
  ) {}

  /**
   * Loads a graph. Throws an InputError, naming the file, where ONNX Runtime cannot read it or an input or output is
   * missing, and one that says what to install where it lacks the provider.
   */
  static async load(
    file: string,
    threads: number,
    wants: { inputs: string[]; outputs: string[] },
    provider: Provider = 'cpu',
  ): Promise<Session> {
    let inner: InferenceSession;
    try {
      inner = await InferenceSession.create(file, {
        executionProviders: provider === 'cpu' ? ['cpu'] : [provider, 'cpu'],
        intraOpNumThreads: threads,
        interOpNumThreads: 1,
        // Else ONNX Runtime takes a block for all tensors of a run as soon as it has seen its shapes once, beside what its first
        // run left: nearly twice the memory, and no time gained that can be measured.
        enableMemPattern: false,
        graphOptimizationLevel: 'all',
        // Threads that wait for work by spinning take it from whatever else runs: other models, ffmpeg.
        extra: { session: { intra_op: { allow_spinning: '0' } } },
        // Warnings are of no use to who asks a question: float16 that cannot be computed ahead, and such.
        logSeverityLevel: 3,
      });
    } catch (error) {
      if (provider !== 'cpu' && /backend not found|provider/i.test((error as Error).message))
        throw missingProvider(provider, error);
      throw new InputError(`${file} is no graph that ONNX Runtime can load: ${(error as Error).message}`, {
        cause: error,
      });
    }
    requireNames(file, 'input', wants.inputs, inner.inputNames);
    requireNames(file, 'output', wants.outputs, inner.outputNames);
    return new Session(file, inner);
  }

  /** Blocks the thread while ONNX Runtime works; onnxruntime-node lets the event loop turn once before. */
  async run(feeds: Record<string, Tensor>): Promise<Record<string, Tensor>> {
    const started = performance.now();
    try {
      return (await this.inner.run(feeds)) as Record<string, Tensor>;
    } catch (error) {
      throw misfit.test((error as Error).message) ? faultOfModel(this.file, error) : error;
    } finally {
      this.#ms += performance.now() - started;
    }
  }

  /** Milliseconds inside ONNX Runtime so far. */
  get ms(): number {
    return this.#ms;
  }

  release(): Promise<void> {
    return this.inner.release();
  }
}

function requireNames(file: string, kind: string, wanted: string[], found: readonly string[]): void {
  const missing = wanted.filter((name) => !found.includes(name));
  if (missing.length === 0) return;
  throw new InputError(`${file} must have the ${kind} ${missing.join(', ')}, it has ${found.join(', ')}`);
}

function missingProvider(provider: Provider, cause: unknown): InputError {
  const remedy =
    provider === 'cuda'
      ? 'install it with `ONNXRUNTIME_NODE_INSTALL=cuda12 npm rebuild onnxruntime-node`, on Linux with CUDA 12'
      : 'this build of onnxruntime-node does not have it for this platform';
  return new InputError(
    `ONNX Runtime cannot use the execution provider ${provider}: ${remedy} (${(cause as Error).message})`,
    { cause },
  );
}
