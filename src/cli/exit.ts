import type { FaultKind } from '../../queues/schemas.js';

/** What the exit code of every command means. */
export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  redis: 3,
  cancelled: 4,
  interrupted: 130,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** Printed below the help of each command. */
export const exitHelp = `Exit codes:
  0    done
  1    the job failed, or there is no such job
  2    the command line or a setting is wrong
  3    Redis cannot be reached
  4    the job was cancelled, or is not finished in time
  130  interrupted`;

interface CliErrorOptions extends ErrorOptions {
  /** Which part of what was asked is at fault; see `faultOf` in run.ts. */
  readonly fault?: FaultKind;
}

/** An error whose exit code is known; the message is all that its reader needs. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly fault: FaultKind | undefined;

  constructor(
    readonly exitCode: ExitCode,
    message: string,
    options?: CliErrorOptions,
  ) {
    super(message, options);
    this.fault = options?.fault;
  }
}

/** The command line is wrong; by default its settings, not what is asked. */
export function usageError(message: string, fault: FaultKind = 'settings'): CliError {
  return new CliError(exitCodes.usage, message, { fault });
}
