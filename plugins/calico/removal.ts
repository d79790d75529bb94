/** What an endpoint of `calico` owns, and what goes after its interface: routes of unused blocks, and last the record. */

import { type Endpoint, removeEndpoint } from "../../src/endpoint/endpoint.ts";
import { runEvery } from "../../src/errors/run-every.ts";
import type { Sys } from "../../src/host/sys.ts";
import { hostInterfacePrefix, natTable } from "../../src/identity/names.ts";
import { tableFamilies } from "../../src/net/address.ts";
import { type OwnedEndpoint, removeIdle, rollBackInterface } from "../../src/plugin/endpoints.ts";
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

/** An attachment whose interface is gone: its record, or what is known without one. */
type Gone = Pick<Endpoint, "attachment" | "addresses"> & { readonly node: string | undefined };

/**
 * Runs after the addresses were released: removes the routes of unused blocks, reading each block once, and last the records, so that a repeated DEL can
 * resume. `areBlocksOurs`: false for a cluster, whose block routes are the node agent's. Keeps what all share, which the caller removes.
 */
export function forget(sys: Sys, gone: readonly Gone[], areBlocksOurs: boolean): void {
  const nodes = new Set(gone.map(({ node }) => node));
  const forgetNode = (node: string | undefined) => {
    const ofNode = gone.filter((one) => one.node === node);
    const addresses = ofNode.flatMap((one) => one.addresses);
    if (areBlocksOurs) removeIdleBlocks(sys, node, addresses);
    runEvery(ofNode.map((one) => () => removeEndpoint(sys, one.attachment)));
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
