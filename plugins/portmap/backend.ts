/** What a back end does; `nftables.ts` and `iptables.ts` are the two. */
import type { Attachment } from "../../src/cni/attachment.ts";
import type { Sys } from "../../src/host/sys.ts";
import type { Context } from "../../src/plugin/plugin.ts";
import type { PortmapConf } from "./conf.ts";
import type { HasEnded } from "./ended.ts";
import type { Target } from "./target.ts";

export type Family = Target["family"];

export const families: readonly Family[] = ["ip", "ip6"];

export interface Wanted {
  readonly attachment: Attachment;
  readonly conf: PortmapConf;
  readonly targets: readonly Target[];
  /** Whose host ports may be taken over. */
  readonly hasEnded: HasEnded;
}

export interface Backend {
  /** Maps the ports, in the place of the attachment's earlier ones. Returns what takes it back. Throws `CniError` naming who has a port. */
  add(wanted: Wanted, sys: Sys): () => void;
  /** The other back end is to map the ports: throws `CniError` naming who has one here, and removes what nobody alive has. */
  settle(wanted: Wanted, sys: Sys): void;
  /** What is missing or other than wanted. */
  check(wanted: Omit<Wanted, "hasEnded">, sys: Sys): readonly string[];
  /** Removes what the attachment has in these families, and returns the UDP ports of the host that it had there. */
  del(attachment: Attachment, among: readonly Family[], sys: Sys): readonly number[];
  /** Removes what attachments of the network have that are not valid, and returns their UDP ports of the host. */
  gc(network: string, valid: readonly Attachment[], sys: Sys): readonly number[];
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
