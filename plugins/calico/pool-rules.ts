/**
 * A pod's packets to its own pool never take the default route.
 *
 *     32001  from <pool> to <pool> lookup main suppress_prefixlength 0     any route but a default route: pods, blocks, networks of the node
 *     32002  from <pool> to <pool> blackhole                               an unused address
 *
 * It uses rules, because a blackhole route for the pool would also cut off the node itself, and hosts that it forwards for, from networks behind
 * the default route that the pool covers, and could conflict with an administrator's route. Pods lose nothing: their packets there are not
 * masqueraded, so no reply would arrive.
 *
 * A disabled pool has no rules, because administrators use such pools to describe networks elsewhere. Nor has a pool of one address.
 *
 * **A pool's rules exist while an endpoint has an address of it.** ADD writes its record and then adds them; a removal checks the records again
 * afterwards.
 */

import { type Removal, unowned, withExecutor } from "../../src/dataplane/executor.ts";
import { type Endpoint, listEndpoints } from "../../src/endpoint/endpoint.ts";
import type { Sys } from "../../src/host/sys.ts";
import type { Pool } from "../../src/ipam/model/pool.ts";
import { addressOf, contains, lengthOf } from "../../src/net/prefix.ts";
import { describeRule, mainTable } from "../../src/plan/describe.ts";
import type { SharedRule } from "../../src/plan/resource.ts";
import { poolRulePriorities, poolRuleProtocol } from "./names.ts";

const { lookup, blackhole } = poolRulePriorities;

/** The rules of the pools that the addresses are from. */
export function planPoolRules(pools: readonly Pool[], addresses: readonly string[]): readonly SharedRule[] {
  const hosts = addresses.map(addressOf);
  const used = pools.filter(
    ({ cidr, disabled }) =>
      !disabled && lengthOf(cidr) < lengthOf(addressOf(cidr)) && hosts.some((one) => contains(cidr, one)),
  );
  return used.flatMap(({ cidr, family }): readonly SharedRule[] => {
    const common = {
      kind: "shared-rule",
      at: "host",
      family,
      from: cidr,
      to: cidr,
      protocol: poolRuleProtocol,
    } as const;
    // The blackhole rule must not exist without the lookup rule.
    return [
      { ...common, priority: lookup, table: mainTable, suppressPrefixLength: 0 },
      { ...common, priority: blackhole, action: "blackhole" },
    ];
  });
}

type UnusedRules = Extract<Removal, { kind: "shared-rule" }>;

/** All of them except those that are `wanted`. The blackhole is removed first. */
export function unusedPoolRules(wanted: UnusedRules["wanted"]): UnusedRules {
  return { kind: "shared-rule", protocol: poolRuleProtocol, priorities: [blackhole, lookup], wanted };
}

/**
 * For GC: removes the rules of pools that are gone, disabled or unused, and restores those that the endpoints of `network` need (`undefined`:
 * none, because a foreign IPAM plugin assigns its addresses). `readPools` returns `undefined` if a pool is unreadable: then all rules stay.
 */
export function reconcilePoolRules(
  sys: Sys,
  network: string | undefined,
  readPools: () => readonly Pool[] | undefined,
): void {
  const rulesOf = (pools: readonly Pool[], endpoints: readonly Endpoint[]) =>
    planPoolRules(
      pools,
      endpoints.flatMap(({ addresses }) => addresses),
    );
  const known = readPools();
  if (known === undefined) return;
  withExecutor(sys, undefined, (executor) => {
    const own = listEndpoints(sys).filter(({ attachment }) => attachment.network === network);
    executor.apply({ owner: unowned, resources: rulesOf(known, own) });
    executor.remove(unowned, [
      unusedPoolRules((found) => {
        const pools = readPools();
        if (pools === undefined) return found;
        const used = new Set(rulesOf(pools, listEndpoints(sys)).map(describeRule));
        return found.filter((rule) => used.has(describeRule(rule)));
      }),
    ]);
  });
}
