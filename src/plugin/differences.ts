/** CHECK's answer to what `diff` found. */
import { CniError, code } from "../cni/error.ts";
import type { Difference } from "../plan/resource.ts";

/** Throws `CniError` 101 that names every difference; `what` is what was to be confirmed. */
export function refuseDifferences(what: string, differences: readonly Difference[]): void {
  if (differences.length === 0) return;
  throw new CniError(code.different, `cannot confirm ${what}: ${differences.map(({ text }) => text).join("; ")}`);
}
