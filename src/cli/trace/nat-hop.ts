/** The step of natOutgoing: with which address the packet leaves the cluster. */

import { poolOf } from "../../cluster-network/network-pool.ts";
import { natTable } from "../../identity/names.ts";
import { familyOf } from "../../net/address.ts";
import { contains } from "../../net/prefix.ts";
import { natSets } from "../../plan/nat-outgoing.ts";
import type { TraceFacts } from "./facts.ts";
import { type Judged, repair, unchecked } from "./judged.ts";
import { holds, type NatTable, type NatTarget } from "./nat-table.ts";

const what = "natOutgoing";

/** `undefined`: the packet stays in the pools, or on this node. */
export function natHop(facts: TraceFacts): Judged | undefined {
  const { source, target, pools } = facts;
  if (target.kind !== "outside" && target.kind !== "far node") return undefined;
  if (pools.some(({ cidr }) => contains(cidr, target.address))) return undefined;
  const pool = poolOf(pools, source.address);
  const keeps = `the packet keeps ${source.address}, and the network must know the way back`;
  if (pool?.natOutgoing !== true) return unchecked(what, `is off: ${keeps}`);
  const except = exception(facts);
  return except === undefined ? translated(facts, pool.cidr) : unchecked(what, `${except}: ${keeps}`);
}

/** Why the pool's packets to this target keep their address. */
function exception({ outgoing, target, route }: TraceFacts): string | undefined {
  if (outgoing?.exclusions?.includes(target.address) === true)
    return "does not translate packets to nodes (natOutgoingExclusions: IPPoolsAndHostIPs)";
  const only = outgoing?.interface;
  if (only === undefined || route.kind !== "route") return undefined;
  const isFitting = only.endsWith("*") ? route.dev.startsWith(only.slice(0, -1)) : route.dev === only;
  return isFitting ? undefined : `translates only what leaves by ${only} (iptablesNATOutgoingInterfaceFilter)`;
}

function translated(facts: TraceFacts, cidr: string): Judged {
  const { source, natTable: table } = facts;
  if (table === undefined) return unchecked(what, `whether the table ${natTable} is there could not be read`);
  const wanted = wantedOf(facts);
  const fault = table === "missing" ? `the table ${natTable} is missing` : faultIn(table, facts, cidr, wanted);
  if (fault !== undefined)
    return { what, text: `${fault}: the packet keeps ${source.address}`, verdict: "wrong", remedy: repair };
  const found = table === "missing" ? [] : table.targets;
  if (!wanted.every((one) => found.some((other) => one.address === other.address && one.ports === other.ports)))
    return {
      what,
      text: `the table ${natTable} translates to ${describe(found)}: it should be ${describe(wanted)}`,
      verdict: "wrong",
      remedy: repair,
    };
  return { what, text: `the packet leaves with ${describe(wanted)}`, verdict: "good" };
}

function faultIn(
  table: NatTable,
  { source, target }: TraceFacts,
  cidr: string,
  wanted: readonly NatTarget[],
): string | undefined {
  const name = `the table ${natTable}`;
  if (!holds(table, natSets.translated, source.address)) return `${name} lacks the pool ${cidr}`;
  if (holds(table, natSets.kept, target.address)) return `${name} takes ${target.address} for an address of a pool`;
  if (holds(table, natSets.excluded, target.address)) return `${name} excludes ${target.address}`;
  if (wanted.length > 0 && table.targets.length === 0) return `${name} has no rule that translates`;
  return undefined;
}

/** What the agent plans: a range of ports for TCP and UDP alone. */
function wantedOf({ outgoing, family }: TraceFacts): readonly NatTarget[] {
  const { address, ports } = outgoing ?? {};
  const own = address !== undefined && familyOf(address) === family ? address : undefined;
  return [...(ports === undefined ? [] : [{ address: own, ports }]), { address: own, ports: undefined }];
}

function describe(targets: readonly NatTarget[]): string {
  const [{ address = "the node's address" } = {}] = targets;
  const ports = targets.flatMap((one) => one.ports ?? [])[0];
  return `${address}${ports === undefined ? "" : `, TCP and UDP from a port of ${ports}`}`;
}
