/** What an endpoint of `calico` owns, and what goes after its interface: routes of unused blocks, and last the record. */

import { type Endpoint, removeEndpoint } from "../../src/endpoint/endpoint.ts";
import { runEvery } from "../../src/errors/run-every.ts";
import type { Sys } from "../../src/host/sys.ts";
import { hostInterfacePrefix, natTable } from "../../src/identity/names.ts";
import { tableFamilies } from "../../src/net/address.ts";
import { type OwnedEndpoint, type RemovedEndpoint, removeIdle, rollBackInterface } from "../../src/plugin/endpoints.ts";
import { usesAgent } from "../../src/plugin/node-agent.ts";
import type { JsonObject } from "../../src/plugin/plugin.ts";
import { removeIdleBlocks } from "./blocks.ts";
import { hostMac, sourceRulePriority } from "./names.ts";
import { unusedPoolRules } from "./pool-rules.ts";
import { tableOf } from "./routes.ts";

const ownObjects: OwnedEndpoint = {
  signature: { kind: "veth", mac: hostMac },
  // Rules outlive the interface if its sandbox stays, which may belong to another attachment by now.
  inSandbox: ({ ifname }, hostEnds) => [
    { kind: "rule", table: tableOf(ifname), priority: sourceRulePriority, link: ifname, hostEnds },
  ],
  shared: (isUsed) => [
    {
      kind: "nft-table",
      tables: tableFamilies.map((family) => ({ family, name: natTable })),
      isUnused: () => !isUsed(),
    },
    // Does not need the pools, which may be gone.
    unusedPoolRules((found) => (isUsed() ? found : [])),
  ],
};

/** Only a cluster's node may have pods that Calico's own plugin made. */
export function ownedIn(document: JsonObject): OwnedEndpoint {
  return usesAgent(document) ? { ...ownObjects, adopts: hostInterfacePrefix } : ownObjects;
}

/**
 * Runs after the addresses were released: removes the routes of unused blocks, and last the record, so that a repeated DEL can resume.
 * `released`: the addresses, for an attachment without a record; `undefined` for a cluster, whose block routes are the node agent's.
 */
export function forget(
  owned: OwnedEndpoint,
  sys: Sys,
  { attachment, record, wasLast }: RemovedEndpoint,
  released: readonly string[] | undefined,
): void {
  if (released !== undefined) removeIdleBlocks(sys, record?.node, record?.addresses ?? released);
  removeEndpoint(sys, attachment);
  // Two concurrent DELs may each have seen the other's record.
  if (!wasLast) removeIdle(owned, sys);
}

/**
 * The same for the attachments of these records; reads each block once. `areBlocksOurs`: false for a cluster, whose block routes are the node agent's.
 * Keeps what all share: the caller removes that once for all.
 */
export function forgetAll(sys: Sys, records: readonly Endpoint[], areBlocksOurs: boolean): void {
  const nodes = new Set(records.map(({ node }) => node));
  const forgetNode = (node: string) => {
    const ofNode = records.filter((record) => record.node === node);
    const addresses = ofNode.flatMap((record) => record.addresses);
    if (areBlocksOurs) removeIdleBlocks(sys, node, addresses);
    runEvery(ofNode.map((record) => () => removeEndpoint(sys, record.attachment)));
  };
  runEvery([...nodes].map((node) => () => forgetNode(node)));
}

/** The record that this call wrote; `isNew`: there was none before. A repeated ADD must not remove the objects of an earlier one. */
export interface Recorded {
  readonly endpoint: Endpoint;
  readonly isNew: boolean;
}

/**
 * Rolls back a record, after the kernel's objects and the addresses. The record stays if the interface has no alias yet and cannot be removed, because
 * only the record names it.
 */
export function rollBackEndpoint(owned: OwnedEndpoint, sys: Sys, { endpoint, isNew }: Recorded): void {
  const { attachment, node, addresses, hostInterface } = endpoint;
  runEvery([
    () => {
      if (isNew) rollBackInterface(owned, sys, hostInterface);
      removeIdleBlocks(sys, node, addresses);
      if (isNew) removeEndpoint(sys, attachment);
    },
    () => void removeIdle(owned, sys),
  ]);
}
