/** The two ends of a veth pair, found from the sandbox's. */
import type { Link } from "../../netlink/link.ts";
import type { Places } from "../places.ts";
import { findLink } from "../view.ts";
import { arePair } from "./veth.ts";

export interface VethEnds {
  readonly sandbox: Link;
  /** Absent when the other end is in neither of the two namespaces, or is no veth. */
  readonly host: Link | undefined;
}

/** `undefined` when the sandbox has no link of that name. What is seen on the host, `places` knows from then on. */
export function findVethEnds(places: Places, ifname: string): VethEnds | undefined {
  const sandbox = findLink(places.connection("sandbox"), ifname);
  if (sandbox === undefined) return undefined;
  const { peerIndex } = sandbox;
  const host = peerIndex === undefined ? undefined : findLink(places.connection("host"), peerIndex);
  // An index says nothing across namespaces: only the pair that names each other is one.
  if (host === undefined || !arePair(host, sandbox)) return { sandbox, host: undefined };
  places.learn("host", host);
  return { sandbox, host };
}
