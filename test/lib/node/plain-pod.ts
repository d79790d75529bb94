/** A pod as the plugins make it, without them: for tests of what others make for pods. */
import type { Node } from "./netns.ts";

export interface PlainPod {
  readonly name: string;
  /** The host interface. */
  readonly link: string;
  readonly address4: string;
  readonly address6: string;
}

/** Turns the node into a router, too. */
export function addPlainPod(node: Node, { name, link, address4, address6 }: PlainPod): void {
  node.addPod(name);
  node.sh(`
ip link add ${link} type veth peer name eth0 netns ${name}
ip -n ${name} address add ${address4}/32 dev eth0
ip -n ${name} address add ${address6}/128 dev eth0 nodad
ip -n ${name} link set eth0 up
ip link set ${link} addrgenmode none address ee:ee:ee:ee:ee:ee
ip address add fe80::ecee:eeff:feee:eeee/64 dev ${link} nodad
ip link set ${link} up
ip -n ${name} route add 169.254.1.1 dev eth0
ip -n ${name} route add default via 169.254.1.1
ip -n ${name} -6 route add default via fe80::ecee:eeff:feee:eeee dev eth0
ip route add ${address4} dev ${link}
ip -6 route add ${address6} dev ${link}
echo 1 > /proc/sys/net/ipv4/conf/${link}/proxy_arp
echo 0 > /proc/sys/net/ipv4/neigh/${link}/proxy_delay
echo 1 > /proc/sys/net/ipv4/ip_forward
echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
`);
}
