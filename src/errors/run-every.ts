/** Runs clean-up steps: continues after an error, and reports all errors. */
import { CoreError, type ErrorKind } from "./core-error.ts";

/** Several steps failed. */
export class FailuresError extends CoreError {
  override readonly name = "FailuresError";
  /** The kind of the first failure. */
  readonly kind: ErrorKind;
  readonly failures: readonly unknown[];

  constructor(failures: readonly unknown[]) {
    super(failures.map((failure) => (failure instanceof Error ? failure.message : String(failure))).join("; "));
    const [first] = failures;
    this.kind = first instanceof CoreError ? first.kind : "refused";
    this.failures = failures;
  }
}

/** Runs every step. Throws the error of the step that failed, or one error that lists all. */
export function runEvery(steps: readonly (() => void)[]): void {
  const failures: unknown[] = [];
  for (const step of steps) {
    try {
      step();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length === 1) throw failures[0];
  if (failures.length > 1) throw new FailuresError(failures);
}
