/** STATUS's answer to what is missing. */
import { CniError, code } from "../cni/error.ts";
import { Executor } from "../dataplane/executor.ts";
import type { NftResource } from "../plan/nft.ts";
import { protocolError } from "./error-codes.ts";
import type { Context } from "./plugin.ts";

/** Runs a probe; what it throws goes on as `CniError` 50, the reason kept. */
export function notReady(probe: () => void): void {
  try {
    probe();
  } catch (error) {
    const { message } = error as Error;
    throw new CniError(code.pluginNotAvailable, message, protocolError(error)?.details);
  }
}

/**
 * Tries whether the kernel can make the tables. What only IPv6 lacks goes to the log: nobody knows here whether a pod will have IPv6, and its
 * ADD says it again. `modules`: what both families need.
 */
export function notReadyForTables(
  { sys, log }: Context,
  resources: readonly NftResource[],
  modules: readonly string[],
): void {
  notReady(() => {
    const missing = new Executor(sys).probeTables(resources, modules);
    const [ip, ip6] = [missing.get("ip"), missing.get("ip6")];
    if (ip) throw ip;
    if (ip6) log.warning("IPv6 is not available", () => ({ error: ip6.message }));
  });
}
