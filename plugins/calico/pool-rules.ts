/**
 * Forwarded packets to an address of an enabled pool take a route that leads to it, and never the default route.
 *
 *     32001  from all iif lo goto 32004                                 the node's own packets: as before
 *     32002  from all to <pool> lookup main suppress_prefixlength 0     any route but a default route: pods, blocks, networks of the node
 *     32003  from all to <pool> blackhole                               nobody has it
 *     32004  from all nop
 *
 * By rules and not by a route for the pool: that would cut the node itself off from networks behind the default route that the pool covers, and
 * would be in the way of an administrator's. By `goto` and not by `lookup main`: the node's own packets meet all the rules that they met before,
 * such as a VPN's. Reverse-path filters ask as the node itself when the packet is for the node.
 *
 * A disabled pool has none: with such pools administrators name what is elsewhere. Nor has a pool that is one address.
 *
 * **A pool's rules are there as long as an endpoint has an address of it.** ADD writes its record and then adds them; whoever removes them looks
 * at the records once more.
 */

import type { Attachment } from "../../src/cni/attachment.ts";
import { followRules, isSameRule, type RuleOwner } from "../../src/dataplane/shared-rule.ts";
import { anyEndpoint, listEndpoints } from "../../src/endpoint/endpoint.ts";
import type { Sys } from "../../src/host/sys.ts";
import type { Pool } from "../../src/ipam/pool.ts";
import { addressOf, contains, lengthOf } from "../../src/net/prefix.ts";
import { mainTable } from "../../src/plan/describe.ts";
import { poolRulePriorities, poolRuleProtocol } from "../../src/plan/names.ts";
import type { SharedRule } from "../../src/plan/resource.ts";

const { skip, lookup, blackhole, end } = poolRulePriorities;
/** First what drops, last what keeps the node's own packets from it. */
const ours: RuleOwner = { protocol: poolRuleProtocol, priorities: [blackhole, lookup, skip, end] };

/** The rules of the pools that the addresses are from. */
export function planPoolRules(pools: readonly Pool[], addresses: readonly string[]): readonly SharedRule[] {
  const hosts = addresses.map(addressOf);
  const used = pools.filter(
    ({ cidr, disabled }) =>
      !disabled && lengthOf(cidr) < lengthOf(addressOf(cidr)) && hosts.some((one) => contains(cidr, one)),
  );
  return ([4, 6] as const).flatMap((family): readonly SharedRule[] => {
    const own = used.filter((pool) => pool.family === family);
    if (own.length === 0) return [];
    const common = { kind: "shared-rule", at: "host", family, protocol: poolRuleProtocol } as const;
    return [
      { ...common, priority: end, action: "nop" },
      { ...common, priority: skip, iif: "lo", action: "goto", target: end },
      ...own.map(({ cidr }) => ({ ...common, priority: lookup, to: cidr, table: mainTable, suppressPrefixLength: 0 })),
      ...own.map(({ cidr }) => ({ ...common, priority: blackhole, to: cidr, action: "blackhole" }) as const),
    ];
  });
}

/** Removes them all when no endpoint is left but that of `leaving`. Knows no pool, for that may be gone. */
export function removeIdlePoolRules(sys: Sys, leaving?: Attachment): void {
  followRules(sys, ours, (found) => (anyEndpoint(sys, leaving) ? found : []));
}

/**
 * For GC: removes those of pools that are gone or disabled, or that no endpoint is from, and puts back what the endpoints of `network` need;
 * `undefined`: of none, where their addresses are another's to give. `readPools` returns `undefined` where pools cannot be read: then all stays.
 */
export function reconcilePoolRules(
  sys: Sys,
  network: string | undefined,
  readPools: () => readonly Pool[] | undefined,
): void {
  followRules(sys, ours, (found) => {
    const pools = readPools();
    if (pools === undefined) return found;
    const endpoints = listEndpoints(sys);
    const plan = (some: typeof endpoints) =>
      planPoolRules(
        pools,
        some.flatMap(({ addresses }) => addresses),
      );
    const used = plan(endpoints);
    return [
      ...plan(endpoints.filter(({ attachment }) => attachment.network === network)),
      ...found.filter((rule) => used.some((one) => isSameRule(one, rule))),
    ];
  });
}
