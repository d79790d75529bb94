/**
 * Forgets the flows of addresses whose route has moved. A flow keeps the translation and the way that its first packet got; an address that is
 * now on another node would keep them.
 */

import { tableFamilies, tableFamilyOf } from "../../net/address.ts";
import { addressOf, lengthOf } from "../../net/prefix.ts";
import { type FlowRemoval, removeFlows } from "../node/conntrack.ts";
import type { Pass } from "./pass.ts";

/** For each address the kernel searches all flows three times; for more addresses one dump of all is faster. */
const maxSearched = 4;

/** `destinations`: of the routes that were replaced or removed. A block's addresses that moved have routes of their own. */
export function forgetMovedFlows(destinations: readonly string[], pass: Pass): void {
  const moved = destinations.filter((one) => lengthOf(one) === lengthOf(addressOf(one))).map(addressOf);
  for (const family of tableFamilies) {
    const addresses = new Set(moved.filter((one) => tableFamilyOf(one) === family));
    if (addresses.size === 0) continue;
    try {
      removeFlows({ kind: "flows", family, which: flowsOf(addresses) }, pass.sys);
    } catch {
      // A kernel without connection tracking has none.
    }
  }
}

function flowsOf(addresses: ReadonlySet<string>): FlowRemoval["which"] {
  if (addresses.size <= maxSearched)
    return [...addresses].flatMap((one) => [{ source: one }, { destination: one }, { answerer: one }]);
  const isMoved = (address: string | undefined) => address !== undefined && addresses.has(address);
  return (flow) => [flow.source, flow.destination, flow.answerer].some(isMoved);
}
