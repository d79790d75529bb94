/** Clean-up goes on after an error, and reports every one. */
import { CniError, code } from "../cni/error.ts";
import { DifferencesError } from "./differences.ts";
import { protocolError } from "./error-codes.ts";

/** Runs every step. Throws the error of the one that failed, or one error that tells of all that did, with the first one's code. */
export function runEvery(steps: readonly (() => void)[]): void {
  const errors: unknown[] = [];
  for (const step of steps) {
    try {
      step();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length === 1) throw errors[0];
  if (errors.length > 1) throw joined(errors);
}

/** What CHECK found stays data. */
function joined(errors: readonly unknown[]): CniError {
  const found = errors.flatMap((error) => (error instanceof DifferencesError ? error.differences : []));
  const details = found.length === 0 ? undefined : JSON.stringify(found);
  return new CniError(codeOf(errors[0]), errors.map(messageOf).join("; "), details);
}

function codeOf(error: unknown): number {
  return protocolError(error)?.code ?? code.internal;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
