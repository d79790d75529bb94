/** Names of network interfaces: which are valid, and how those on the host's side are made. */
import { hostInterfacePrefix } from "../plan/names.ts";
import { sha1 } from "./digest.ts";
import { encodeUtf8 } from "./text.ts";

/** IFNAMSIZ (linux/if.h) less its final zero byte. */
const maxNameLength = 15;

/** What is wrong with a name, by the kernel's rules (dev_valid_name in net/core/dev.c); `undefined` when nothing is. */
export function interfaceNameFault(name: string): "empty" | "too long" | "dots" | "characters" | undefined {
  if (name === "") return "empty";
  // A character has three bytes at most for each of its units.
  if (name.length > maxNameLength) return "too long";
  if (name.length * 3 > maxNameLength && encodeUtf8(name).length > maxNameLength) return "too long";
  if (name === "." || name === "..") return "dots";
  if (/[/:\0\s\u0085]/.test(name)) return "characters";
  return undefined;
}

export interface Pod {
  readonly namespace: string;
  readonly name: string;
}

/**
 * The host's end of an attachment's veth.
 *
 * A pod's `eth0` gets Calico's name, made of the namespace and the pod's name, which a later sandbox of the same pod therefore shares.
 * Everything else gets a name of its own made of the attachment's whole key (Calico cuts the container ID instead, and two IDs that
 * begin alike collide).
 */
export function hostInterfaceName(
  attachment: { readonly network: string; readonly containerId: string; readonly ifname: string },
  pod: Pod | undefined,
): string {
  const { network, containerId, ifname } = attachment;
  const key =
    pod !== undefined && ifname === "eth0" ? `${pod.namespace}.${pod.name}` : `${network}.${containerId}.${ifname}`;
  return hostInterfacePrefix + sha1(key).slice(0, 11);
}
