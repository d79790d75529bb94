/** The interface of the two back ends, `nftables.ts` and `iptables.ts`. */

import type { Sys } from "../../src/host/sys.ts";
import type { Attachment } from "../../src/identity/attachment.ts";
import type { TableFamily } from "../../src/net/address.ts";
import type { Difference, Resource } from "../../src/plan/resource.ts";
import type { Context } from "../../src/plugin/plugin.ts";
import type { Mapping, PortmapConf } from "./conf.ts";
import type { HasEnded } from "./ended.ts";
import type { Target } from "./target.ts";

export interface PortRequest {
  readonly attachment: Attachment;
  readonly conf: PortmapConf;
  readonly targets: readonly Target[];
  /** The attachments whose host ports may be taken over. */
  readonly hasEnded: HasEnded;
}

/** A host port that a container had. */
export interface FormerPort {
  readonly family: TableFamily;
  readonly protocol: Mapping["protocol"];
  readonly port: number;
  /** Where it led. */
  readonly address: string;
}

export interface Added {
  /** Host ports taken over from attachments that have ended. */
  readonly former: readonly FormerPort[];
  takeBack(): void;
}

export interface Backend {
  /** The resources that map the ports, assuming that no other attachment has one of them. */
  plan(wanted: Omit<PortRequest, "hasEnded">): readonly Resource[];
  /** Maps the ports, replaces earlier ones of the attachment, and applies `more` with them. Throws `CniError` naming the holder of a port. */
  add(wanted: PortRequest, more: readonly Resource[], sys: Sys): Added;
  /** Called before the other back end maps the ports: removes and returns those of ended attachments. Throws `CniError` naming a live holder. */
  settle(wanted: PortRequest, sys: Sys): readonly FormerPort[];
  /** Compares the kernel's state with the plan. */
  check(wanted: Omit<PortRequest, "hasEnded">, sys: Sys): readonly Difference[];
  /** Removes the attachment's host ports in these families, and returns them. */
  del(attachment: Attachment, among: readonly TableFamily[], sys: Sys): readonly FormerPort[];
  /**
   * A quick check whether this back end may have host ports of the attachment, for the back end that the configuration does not name. Throws
   * `KernelError` if the kernel does not tell.
   */
  mayHold(attachment: Attachment, sys: Sys): boolean;
  /** Throws `CniError` if an ADD with this configuration could not map ports. What is missing for IPv6 only goes to the log. */
  status(conf: PortmapConf, context: Context): void;
}

/** `container "c2" (network "net1", interface "eth0")`. */
export function describeAttachment({ network, containerId, ifname }: Attachment): string {
  return `container "${containerId}" (network "${network}", interface "${ifname}")`;
}
