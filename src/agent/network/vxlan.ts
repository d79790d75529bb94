/**
 * The VXLAN device of one family, and what it knows of its peers. A packet to another node's pod finds its way in three steps:
 *
 *     route       10.0.1.0/26 via 10.0.1.1 dev vxlan.calico      the gateway is the other tunnel device's address
 *     neighbour   10.0.1.1 lladdr 66:…                           the inner frame's MAC address
 *     FDB         66:… dst 192.0.2.7                             the outer packet's address
 */
import { hostPrefix } from "../../net/prefix.ts";
import type { NodeResource } from "../../plan/node-plan.ts";
import type { Site } from "./site.ts";

/** Nothing while no pool uses VXLAN or the node has no tunnel address. */
export function planVxlan({ vxlan, uplink, address, peers, family }: Site): readonly NodeResource[] {
  if (vxlan === undefined) return [];
  const { device: link, mac, vni, port, mtu, isChecksumOffloadBroken } = vxlan;
  const at = "host";
  const known = [...peers.values()].flatMap((peer): readonly NodeResource[] =>
    peer.vxlan === undefined
      ? []
      : [
          { kind: "neighbour", at, link, address: peer.vxlan.address, mac: peer.vxlan.mac },
          { kind: "fdb", at, link, mac: peer.vxlan.mac, destination: peer.address },
        ],
  );
  return [
    {
      ...{ kind: "vxlan", at, name: link, vni, port, local: address, device: uplink.name, mac, mtu },
      ...(isChecksumOffloadBroken && { checksumOffload: false }),
    },
    { kind: "address", at, link, address: hostPrefix(vxlan.address), ...(family === 6 && { noDad: true }) },
    ...known,
  ];
}
