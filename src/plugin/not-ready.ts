/** STATUS's answer to what is missing. */
import { CniError, code } from "../cni/error.ts";

/** Runs a probe; what it throws goes on as `CniError` 50, the reason kept. */
export function notReady(probe: () => void): void {
  try {
    probe();
  } catch (error) {
    const { message } = error as Error;
    throw new CniError(code.pluginNotAvailable, message, error instanceof CniError ? error.details : undefined);
  }
}
