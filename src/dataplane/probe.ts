/**
 * Tests whether the kernel has what an ADD needs, and leaves nothing behind: with a request that the kernel must refuse, whose errno shows
 * whether it knows the kind; with a transaction that is aborted; or with a real object in a temporary network namespace. The kernel loads
 * modules as at the first real use.
 *
 * Runtimes call STATUS every few seconds, so features whose modules are loaded are not tested again.
 */

import type { CoreError } from "../errors/core-error.ts";
import { isErrno, type Sys } from "../host/sys.ts";
import type { TableFamily } from "../net/address.ts";
import { addRedirect } from "../netlink/filter.ts";
import { probeLinkKind } from "../netlink/link.ts";
import type { Ack, Request } from "../netlink/message.ts";
import { addIngress, loopback, probeQdiscKind } from "../netlink/qdisc.ts";
import type { IptablesPorts } from "../plan/iptables.ts";
import type { NftResource } from "../plan/nft.ts";
import type { LinkKind } from "../plan/resource.ts";
import { NetlinkConnection } from "./connection.ts";
import { linkDrivers } from "./drivers.ts";
import { hasErrno, KernelError, systemCallError } from "./errors.ts";
import { probePorts } from "./iptables/ports.ts";
import { probeNft } from "./nftables/probe.ts";

/** Links of these kinds; the token bucket and the filter that redirects to an ifb; or host ports in iptables. */
export type Probe =
  | { readonly kind: "links"; readonly of: readonly LinkKind[] }
  | { readonly kind: "qdisc" }
  | IptablesPorts;

/** Throws an error that names the first missing feature, and its module. */
export function probe(what: Probe, sys: Sys): void {
  switch (what.kind) {
    case "links":
      probeLinks(sys, what.of);
      break;
    case "qdisc":
      probeQueues(sys);
      break;
    case "iptables-ports":
      probePorts(what, sys);
      break;
  }
}

/** Throws `KernelError` that names the first missing kind, and its module. */
function probeLinks(sys: Sys, kinds: readonly LinkKind[]): void {
  withConnection(sys, (connection) => {
    for (const kind of kinds) {
      const outcome = connection.request(probeLinkKind(kind));
      if (!hasErrno(outcome, "EINVAL")) throw missing(`links of kind "${kind}"`, outcome, linkDrivers[kind].module);
    }
  });
}

/** Tests the token bucket, and the filter that redirects to an ifb. Throws as `probeLinks` does. */
function probeQueues(sys: Sys): void {
  withConnection(sys, (connection) => {
    const outcome = connection.request(probeQdiscKind("tbf"));
    // EEXIST: the loopback interface has a queue, and the kernel did not check further.
    if (!hasErrno(outcome, "EINVAL", "EEXIST")) throw missing('qdiscs of kind "tbf"', outcome, "sch_tbf");
  });
  if (areLoaded(sys, ["sch_ingress", "cls_u32", "act_mirred"])) return;
  try {
    sys.inNewNetns(() => withConnection(sys, probeRedirect));
  } catch (error) {
    // The limit of namespaces is reached, which is temporary and unrelated to queues.
    if (!isErrno(error, "ENOSPC")) throw systemCallError(["try", "filters in a network namespace"], error);
  }
}

/** The kernel looks up a filter only on a link with a qdisc, so this adds one first. */
function probeRedirect(connection: NetlinkConnection): void {
  const attempt = (request: Request, what: string, moduleOf: (outcome: Ack) => string): void => {
    const outcome = connection.request(request);
    if (outcome.errno !== 0) throw missing(what, outcome, moduleOf(outcome));
  };
  attempt(addIngress(loopback), 'qdiscs of kind "ingress"', () => "sch_ingress");
  attempt(addRedirect(loopback, loopback, false), 'filters of kind "u32" with action "mirred"', ({ text }) =>
    text === undefined ? "cls_u32 act_mirred" : text.includes("action") ? "act_mirred" : "cls_u32",
  );
}

/**
 * The first reason per family why an ADD could not create the tables. `modules`: what they need. Throws `KernelError` if the kernel has no nf_tables
 * or does not let us use them.
 */
export function probeTables(
  sys: Sys,
  resources: readonly NftResource[],
  modules: readonly string[],
): ReadonlyMap<TableFamily, CoreError> {
  return probeNft(resources, sys, areLoaded(sys, modules));
}

/** Whether the kernel has loaded all these modules. Built-in ones may not be visible. */
function areLoaded(sys: Sys, modules: readonly string[]): boolean {
  return modules.every((name) => sys.stat(`/sys/module/${name}`) !== undefined);
}

/** The kernel's refusal; with the module that provides the kind if the kernel does not know it. */
function missing(object: string, outcome: Ack, module: string): KernelError {
  const isUnknown = hasErrno(outcome, "ENOENT", "EOPNOTSUPP");
  return new KernelError(["create", object], outcome, isUnknown ? `load module ${module}` : undefined);
}

function withConnection(sys: Sys, body: (connection: NetlinkConnection) => void): void {
  const connection = new NetlinkConnection(sys.openNetlink("route"));
  try {
    body(connection);
  } finally {
    connection.close();
  }
}
