/** The identity of an attachment, a Kubernetes pod or a bare container, and the names that follow from it. */

import { podOf } from "../../src/cni/pod.ts";
import { readEndpoint } from "../../src/endpoint/endpoint.ts";
import type { Sys } from "../../src/host/sys.ts";
import { type Attachment, ownerOf, ownerPrefixOf } from "../../src/identity/attachment.ts";
import type { Pod } from "../../src/identity/pod.ts";
import { isSamePod } from "../../src/identity/pod.ts";
import { hostInterfaceName } from "./host-interface.ts";

export interface Identity {
  readonly attachment: Attachment;
  /** Absent unless the runtime named both the namespace and the pod (Calico's rule for "this is Kubernetes"). */
  readonly pod: Pod | undefined;
  readonly hostInterface: string;
  /** The alias of the host interface. */
  readonly owner: string;
}

export function identify(attachment: Attachment, args: Readonly<Record<string, string>>): Identity {
  const pod = podOf(args);
  return { attachment, pod, hostInterface: hostInterfaceName(attachment, pod), owner: ownerOf(attachment) };
}

/**
 * A MAC address for the pod's end, derived from the digest in the host interface's name so that a repeated ADD sets the same one: locally
 * administered and unicast (IEEE 802, the two low bits of the first octet).
 */
export function stableMac(hostInterface: string): string {
  const digest = hostInterface.slice(-11);
  const octets = [`${digest.slice(10)}2`];
  for (let at = 0; at < 10; at += 2) octets.push(digest.slice(at, at + 2));
  return octets.join(":");
}

/**
 * Whether an interface with our name but another owner's alias may be replaced: only if it belongs to an earlier sandbox of the same pod. The
 * name alone implies the same pod, unless a record names another one.
 */
export function mayReplace(sys: Sys, identity: Identity): (alias: string) => boolean {
  return (alias) => {
    const { attachment, pod } = identity;
    const prefix = ownerPrefixOf(attachment.network);
    const suffix = `/${attachment.ifname}`;
    if (pod === undefined || !alias.startsWith(prefix) || !alias.endsWith(suffix)) return false;
    const containerId = alias.slice(prefix.length, -suffix.length);
    const other = readEndpoint(sys, { ...attachment, containerId });
    return other?.pod === undefined || isSamePod(other.pod, pod);
  };
}
