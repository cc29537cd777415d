import type { Command } from 'commander';
import { messageOf } from '../format.js';
import { CliError, type ExitCode, exitCodes, exitHelp } from './exit.js';

/** What every command gets besides its own arguments. */
export interface Context {
  /** Standard output carries exactly one JSON document. */
  readonly json: boolean;
  /** Aborted by Ctrl-C, by SIGTERM, and when standard output has no reader any more or cannot be written. */
  readonly signal: AbortSignal;
  /** The JSON document of a command with `--json`; ignored without. */
  document(value: unknown): void;
  /** One of several documents, on a line of its own. */
  line(value: unknown): void;
}

/** What a command returns: its exit code, 0 where it returns nothing. */
// biome-ignore lint/suspicious/noConfusingVoidType: commands without a verdict simply end
type Outcome = ExitCode | void;

interface CommonOptions {
  readonly json?: boolean;
  readonly debug?: boolean;
}

/** Why the signal of a command was aborted, and so how the process ends. */
class Interruption extends Error {
  override readonly name = 'AbortError';
  constructor(
    message: string,
    readonly exitCode: ExitCode,
  ) {
    super(message);
  }
}

/** Adds `--json`, `--debug` and the exit codes, the options that every command has. */
export function addCommonOptions(command: Command, examples: readonly string[]): Command {
  const lines = examples.map((example) => `  $ visionzip ${example}`).join('\n');
  return command
    .option('--json', 'print one JSON document on standard output, and nothing else')
    .option('--debug', 'show where an error was thrown')
    .addHelpText('after', `\nExamples:\n${lines}\n\n${exitHelp}`);
}

/**
 * Wraps the body of a command: signals, errors and exit codes are handled here and nowhere else. Every error becomes
 * one line on standard error, and with `--json` also `{"error", "fault", "exitCode"}` on standard output unless the command
 * has printed its document already. With `handlesSignals` false the body minds SIGINT and SIGTERM itself.
 */
export function command<Args extends unknown[]>(
  body: (context: Context, ...args: Args) => Promise<Outcome>,
  { handlesSignals = true } = {},
): (...args: Args) => Promise<void> {
  return async (...args) => {
    const options = args.find(isOptions) ?? {};
    const printer = new Printer(options.json ?? false);
    const interruption = listenForInterruption(handlesSignals);
    try {
      process.exitCode =
        (await body({ ...printer.parts, signal: interruption.signal }, ...args)) ?? exitCodes.ok;
    } catch (thrown) {
      const error = interruption.signal.aborted ? interruption.signal.reason : thrown;
      process.exitCode = exitCodeOf(error);
      if (process.exitCode !== exitCodes.ok) printer.error(error, options.debug ?? false);
    } finally {
      interruption.release();
    }
  };
}

/** Reports an error that was found before a command's body began. */
export function failBeforehand(error: unknown, argv: readonly string[]): void {
  process.exitCode = exitCodeOf(error);
  new Printer(argv.includes('--json')).error(error, argv.includes('--debug'));
}

/** Commander passes the arguments, the options and the command; the options are the only plain object. */
function isOptions(argument: unknown): argument is CommonOptions {
  return (
    typeof argument === 'object' && argument !== null && Object.getPrototypeOf(argument) === Object.prototype
  );
}

class Printer {
  #printed = false;
  constructor(readonly json: boolean) {}

  readonly document = (value: unknown): void => {
    if (!this.json) return;
    if (this.#printed) throw new Error('a command prints one JSON document');
    this.#printed = true;
    process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
  };

  readonly line = (value: unknown): void => {
    if (!this.json) return;
    this.#printed = true;
    process.stdout.write(`${JSON.stringify(value)}\n`);
  };

  /** What a command gets of it. */
  get parts(): Pick<Context, 'json' | 'document' | 'line'> {
    return { json: this.json, document: this.document, line: this.line };
  }

  error(error: unknown, debug: boolean): void {
    const message = messageOf(error);
    process.stderr.write(`visionzip: ${message}\n`);
    if (debug && error instanceof Error) process.stderr.write(`${error.stack}\n`);
    if (!this.#printed) this.document({ error: message, fault: faultOf(error), exitCode: process.exitCode });
  }
}

/** As in the documents of jobs; null for an interruption, and where Redis is not there. */
function faultOf(error: unknown): string | null {
  if (error instanceof CliError) return error.fault ?? null;
  if (error instanceof Error && 'fault' in error) return String(error.fault);
  return error instanceof Interruption || exitCodeOf(error) === exitCodes.redis ? null : 'internal';
}

function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof CliError || error instanceof Interruption) return error.exitCode;
  // By its name: the class itself would load the Redis client into commands that do without.
  const isRedis = error instanceof Error && error.name === 'RedisUnavailableError';
  return isRedis ? exitCodes.redis : exitCodes.failed;
}

/** The first SIGINT or SIGTERM aborts the signal, a second ends the process at once. */
function listenForInterruption(handlesSignals: boolean): { signal: AbortSignal; release(): void } {
  const controller = new AbortController();
  const onSignal = () => {
    if (controller.signal.aborted) process.exit(exitCodes.interrupted);
    controller.abort(new Interruption('interrupted', exitCodes.interrupted));
  };
  const onOutputError = ({ code, message }: NodeJS.ErrnoException) =>
    controller.abort(
      code === 'EPIPE'
        ? new Interruption('the reader of the output has gone', exitCodes.ok)
        : new CliError(exitCodes.failed, `cannot write the output: ${message}`),
    );
  if (handlesSignals) process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  process.stdout.on('error', onOutputError);
  return {
    signal: controller.signal,
    release: () => {
      process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
      process.stdout.off('error', onOutputError);
    },
  };
}
