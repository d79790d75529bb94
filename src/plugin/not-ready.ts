/** STATUS's error for a missing prerequisite. */
import { CniError, code } from "../cni/error.ts";
import { NodeFacts } from "../dataplane/node-facts.ts";
import type { NftResource } from "../plan/nft.ts";
import { protocolError } from "./error-codes.ts";
import type { Context } from "./plugin.ts";

/** Runs a probe; converts its error to `CniError` 50 and keeps the reason. */
export function notReady(probe: () => void): void {
  try {
    probe();
  } catch (error) {
    const { message } = error as Error;
    throw new CniError(code.pluginNotAvailable, message, protocolError(error)?.details);
  }
}

/**
 * Tests whether the kernel can create the tables. A failure of IPv6 alone is only logged: STATUS cannot know whether a pod will have IPv6, and its
 * ADD will report it. `modules`: the modules that both families need.
 */
export function notReadyForTables(
  { sys, log }: Context,
  resources: readonly NftResource[],
  modules: readonly string[],
): void {
  notReady(() => {
    const missing = new NodeFacts(sys).probeTables(resources, modules);
    const [ip, ip6] = [missing.get("ip"), missing.get("ip6")];
    if (ip) throw ip;
    if (ip6) log.warning("IPv6 is not available", () => ({ error: ip6.message }));
  });
}
