/** The two ends of a veth pair, found from the sandbox's. */
import type { Link } from "../../netlink/link.ts";
import { findLink } from "../kernel-state.ts";
import type { Namespaces } from "../namespaces.ts";
import { arePair } from "./veth.ts";

export interface VethEnds {
  readonly sandbox: Link;
  /** Absent if the other end is in neither of the two namespaces, or is not a veth. */
  readonly host: Link | undefined;
}

/** `undefined` if the sandbox has no link with that name. Caches the host's link in `namespaces`. */
export function findVethEnds(namespaces: Namespaces, ifname: string): VethEnds | undefined {
  const sandbox = findLink(namespaces.connection("sandbox"), ifname);
  if (sandbox === undefined) return undefined;
  const { peerIndex } = sandbox;
  const host = peerIndex === undefined ? undefined : findLink(namespaces.connection("host"), peerIndex);
  // Indices are per namespace: two links are a pair only if each refers to the other.
  if (host === undefined || !arePair(host, sandbox)) return { sandbox, host: undefined };
  namespaces.learn("host", host);
  return { sandbox, host };
}
