/** What a back end does; `nftables.ts` and `iptables.ts` are the two. */

import type { Sys } from "../../src/host/sys.ts";
import type { Attachment } from "../../src/identity/attachment.ts";
import type { Difference, Resource } from "../../src/plan/resource.ts";
import type { Context } from "../../src/plugin/plugin.ts";
import type { Mapping, PortmapConf } from "./conf.ts";
import type { HasEnded } from "./ended.ts";
import type { Target } from "./target.ts";

export type Family = Target["family"];

export const families: readonly Family[] = ["ip", "ip6"];

export interface PortRequest {
  readonly attachment: Attachment;
  readonly conf: PortmapConf;
  readonly targets: readonly Target[];
  /** Whose host ports may be taken over. */
  readonly hasEnded: HasEnded;
}

/** A host port that a container had. */
export interface FormerPort {
  readonly family: Family;
  readonly protocol: Mapping["protocol"];
  readonly port: number;
  /** Where it led. */
  readonly address: string;
}

export interface Added {
  /** What it took from attachments that have ended. */
  readonly former: readonly FormerPort[];
  takeBack(): void;
}

export interface Backend {
  /** What the ports are in the kernel, where nobody else has one. */
  plan(wanted: Omit<PortRequest, "hasEnded">): readonly Resource[];
  /**
   * Maps the ports, in the place of the attachment's earlier ones, and applies `more` with them. Throws `CniError` naming who has a port.
   */
  add(wanted: PortRequest, more: readonly Resource[], sys: Sys): Added;
  /** The other back end is to map the ports: throws `CniError` naming who has one here, and removes and returns what nobody alive has. */
  settle(wanted: PortRequest, sys: Sys): readonly FormerPort[];
  /** What is missing or other than wanted. */
  check(wanted: Omit<PortRequest, "hasEnded">, sys: Sys): readonly Difference[];
  /** Removes what the attachment has in these families, and returns it. */
  del(attachment: Attachment, among: readonly Family[], sys: Sys): readonly FormerPort[];
  /** Removes what attachments of the network have that are not valid, and returns it. */
  gc(network: string, valid: readonly Attachment[], sys: Sys): readonly FormerPort[];
  /**
   * Whether it may hold anything of the attachment, or of any: a quick look, for the back end that the configuration does not name. Throws
   * when that cannot be known.
   */
  mayHold(attachment: Attachment | undefined, sys: Sys): boolean;
  /** Throws `CniError` when an ADD with this configuration could not map ports; what IPv6 alone lacks goes to the log. */
  status(conf: PortmapConf, context: Context): void;
}

/** `container "c2" (network "net1", interface "eth0")`: who has a port. */
export function describeAttachment({ network, containerId, ifname }: Attachment): string {
  return `container "${containerId}" (network "${network}", interface "${ifname}")`;
}
