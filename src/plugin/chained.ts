/** A chained plugin needs the result of the plugin before it. */
import { CniError, code } from "../cni/error.ts";
import type { Result } from "../cni/result.ts";

/** Throws `CniError` 7 if there is none: the plugin is the first in its list. */
export function chained(plugin: string, prevResult: Result | undefined): Result {
  if (prevResult !== undefined) return prevResult;
  throw new CniError(
    code.invalidConfig,
    `cannot run "${plugin}" without a prevResult: it must be a chained plugin, after one that creates the interface`,
  );
}
