/** The two ends of a veth pair, found from the sandbox's. */
import type { Link } from "../netlink/link.ts";
import type { Scene } from "./dataplane.ts";
import { Places } from "./places.ts";
import { findLink } from "./view.ts";

export interface VethEnds {
  readonly sandbox: Link;
  /** Absent when the other end is in neither of the two namespaces, or is no veth. */
  readonly host: Link | undefined;
}

/** `undefined` when the sandbox has no link of that name. */
export function findVethEnds(scene: Scene, ifname: string): VethEnds | undefined {
  const places = new Places(scene);
  try {
    const sandbox = findLink(places.conversation("sandbox"), ifname);
    if (sandbox === undefined) return undefined;
    const host = sandbox.peerIndex === undefined ? undefined : findLink(places.conversation("host"), sandbox.peerIndex);
    // An index says nothing across namespaces: only the pair that names each other is one.
    const paired = host?.kind === "veth" && sandbox.kind === "veth" && host.peerIndex === sandbox.index;
    return { sandbox, host: paired ? host : undefined };
  } finally {
    places.close();
  }
}
