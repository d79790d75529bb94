/** How a command ends, and an error that says so. */

export const exitStatus = {
  done: 0,
  failed: 1,
  /** The command line makes no sense. */
  usage: 2,
  /** The command worked and found problems. */
  problems: 3,
} as const;

export type ExitStatus = (typeof exitStatus)[keyof typeof exitStatus];

/** The message reads after `tortie: `: `cannot <verb> <object>: <reason>`. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly status: ExitStatus;

  constructor(message: string, status: ExitStatus = exitStatus.failed) {
    super(message);
    this.status = status;
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
