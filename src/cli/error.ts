/** A command's exit status, and errors with one. */
import { isErrno } from "../host/sys.ts";

export const exitStatus = {
  done: 0,
  failed: 1,
  /** The command line is invalid. */
  usage: 2,
  /** The command worked and found problems. */
  problems: 3,
} as const;

export type ExitStatus = (typeof exitStatus)[keyof typeof exitStatus];

/** The message follows `tortie: `: `cannot <verb> <object>: <reason>`. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly status: ExitStatus;

  constructor(message: string, status: ExitStatus = exitStatus.failed, cause?: unknown) {
    super(message, { cause });
    this.status = status;
  }
}

/** A `CliError` caused by another error: `<what>: <message>`. */
export function failed(what: string, error: unknown): CliError {
  return new CliError(`${what}: ${messageOf(error)}`, exitStatus.failed, error);
}

/** Whether the error or one of its causes is EACCES or EPERM. */
export function isDenied(error: unknown): boolean {
  if (isErrno(error, "EACCES", "EPERM")) return true;
  return error instanceof Error && error.cause !== undefined && isDenied(error.cause);
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
