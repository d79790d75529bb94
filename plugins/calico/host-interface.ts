/** The name of the host's end of an attachment's veth. */
import type { Attachment } from "../../src/identity/attachment.ts";
import { hostInterfacePrefix } from "../../src/identity/names.ts";
import type { Pod } from "../../src/identity/pod.ts";
import { sha1 } from "../../src/net/digest.ts";

/**
 * A pod's `eth0` gets Calico's name, derived from the namespace and the pod's name, which a later sandbox of the same pod therefore shares. Any
 * other interface gets a name derived from the attachment's whole key (Calico truncates the container ID instead, so two IDs with the same
 * beginning collide).
 */
export function hostInterfaceName(attachment: Attachment, pod: Pod | undefined): string {
  const { network, containerId, ifname } = attachment;
  const key =
    pod !== undefined && ifname === "eth0" ? `${pod.namespace}.${pod.name}` : `${network}.${containerId}.${ifname}`;
  return hostInterfacePrefix + sha1(key).slice(0, 11);
}
