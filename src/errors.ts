/** Which part of the input is at fault. */
export type Fault = 'question' | 'video' | 'model' | 'settings';

/**
 * A fault of the input, not of the machine: running the same job again cannot help. The worker fails such a
 * job at once, without retries. The message says what was expected and what was found.
 */
export class InputError extends Error {
  override readonly name = 'InputError';
  readonly fault: Fault;

  /** @param options `fault` is the video's where it is not said. */
  constructor(message: string, options: ErrorOptions & { readonly fault?: Fault } = {}) {
    super(message, options);
    this.fault = options.fault ?? 'video';
  }
}

/** ffmpeg or ffprobe ended badly. `cause` of an InputError, or thrown itself when the machine is to blame. */
export class FfmpegError extends Error {
  override readonly name = 'FfmpegError';
  constructor(
    message: string,
    /** The command line, for a person to run again. */
    readonly command: string,
    /** Null when it was killed. */
    readonly exitCode: number | null,
    /** The last 8 kB of its error output. */
    readonly stderr: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
