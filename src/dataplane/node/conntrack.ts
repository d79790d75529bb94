/**
 * Deletes conntrack entries of host ports. An entry keeps its translation: without the deletion, packets of a client that reuses its source
 * port would go to the container that had the host port before.
 */

import type { Sys } from "../../host/sys.ts";
import type { TableFamily } from "../../net/address.ts";
import {
  deleteFlow,
  deleteFlows,
  dumpFlows,
  type Flow,
  type FlowFilter,
  matchesFlow,
  readFlow,
} from "../../netlink/conntrack.ts";
import type { Request } from "../../netlink/message.ts";
import { NetlinkConnection } from "../connection.ts";
import { hasErrno, KernelError } from "../errors.ts";

export type { FlowFilter };

/** Throws `KernelError` if the kernel refuses, as one without connection tracking does. */
export function forgetFlows(family: TableFamily, filters: readonly FlowFilter[], sys: Sys): void {
  if (filters.length === 0) return;
  converse(sys, (connection) => {
    const outcomes = connection.exchange(filters.map((filter) => deleteFlows(family, filter)));
    const refused = outcomes.find((outcome) => outcome.errno !== 0 && !hasErrno(outcome, "ENOENT"));
    if (refused === undefined) return;
    if (!hasErrno(refused, "EINVAL", "EOPNOTSUPP")) throw new KernelError(what, refused);
    forgetEach(connection, family, (flow) => filters.some((filter) => matchesFlow(filter, flow)));
  });
}

/** Deletes the flows for which `isOver` is true; dumps all flows, for conditions that no kernel filter can express. */
export function forgetFlowsThat(family: TableFamily, isOver: (flow: Flow) => boolean, sys: Sys): void {
  converse(sys, (connection) => forgetEach(connection, family, isOver));
}

const what = ["forget", "flows to host ports"] as const;

function forgetEach(connection: NetlinkConnection, family: TableFamily, isOver: (flow: Flow) => boolean): void {
  const deletions = connection.dump(dumpFlows(family), what).flatMap((reply): readonly Request[] => {
    const flow = readFlow(reply);
    return flow !== undefined && isOver(flow) ? [deleteFlow(family, flow)] : [];
  });
  if (deletions.length === 0) return;
  for (const outcome of connection.exchange(deletions)) {
    if (outcome.errno !== 0 && !hasErrno(outcome, "ENOENT")) throw new KernelError(what, outcome);
  }
}

function converse(sys: Sys, body: (connection: NetlinkConnection) => void): void {
  const connection = new NetlinkConnection(sys.openNetlink("netfilter"));
  try {
    body(connection);
  } finally {
    connection.close();
  }
}
