/** The two ends of a veth pair, found from the sandbox's. */
import type { Link } from "../../netlink/link.ts";
import { findLink } from "../kernel-state.ts";
import type { Namespaces } from "../namespaces.ts";
import { arePair } from "./veth.ts";

export interface VethEnds {
  readonly sandbox: Link;
  /** Absent when the other end is in neither of the two namespaces, or is no veth. */
  readonly host: Link | undefined;
}

/** `undefined` when the sandbox has no link of that name. What is seen on the host, `namespaces` know from then on. */
export function findVethEnds(namespaces: Namespaces, ifname: string): VethEnds | undefined {
  const sandbox = findLink(namespaces.connection("sandbox"), ifname);
  if (sandbox === undefined) return undefined;
  const { peerIndex } = sandbox;
  const host = peerIndex === undefined ? undefined : findLink(namespaces.connection("host"), peerIndex);
  // An index says nothing across namespaces: only the pair that names each other is one.
  if (host === undefined || !arePair(host, sandbox)) return { sandbox, host: undefined };
  namespaces.learn("host", host);
  return { sandbox, host };
}
