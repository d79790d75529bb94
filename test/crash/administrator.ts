/** An administrator's objects on a node besides the pods: links, addresses, routes, rules, limits, firewall, settings, some with names much like ours. */
import type { Node } from "../lib/node/netns.ts";

/** Creates all of them. */
export function administer(node: Node): void {
  node.sh(setUp);
}

/** All of them in the tools' output, for a comparison byte for byte. The rules of pools, which pods share, are not the administrator's. */
export function administered(node: Node): string {
  return node.sh(look);
}

const setUp = `
ip link add adm0 type veth peer name adm1
ip link set adm0 alias "rack 4" addrgenmode none up
ip link set adm1 addrgenmode none up
ip address add 198.51.100.1/24 dev adm0
ip route add 198.51.101.0/24 via 198.51.100.9 dev adm0 proto static metric 50
ip route add blackhole 192.0.2.0/24 table 77
ip rule add from 198.51.100.0/24 lookup 77 priority 1077
ip neighbour add 198.51.100.9 lladdr 02:00:00:00:00:09 dev adm0 nud permanent
tc qdisc add dev adm0 root tbf rate 5mbit burst 20k latency 25ms
tc qdisc add dev adm0 ingress
tc filter add dev adm0 parent ffff: protocol ip prio 7 u32 match ip dst 198.51.100.77/32 action mirred egress redirect dev adm1
ip link add caliadmin0 type veth peer name bwpadmin0
sysctl -qw net.ipv4.conf.adm0.proxy_arp=1 net.ipv4.conf.adm0.rp_filter=2
nft -f - <<'RULES'
table inet admin {
  set blocked { type ipv4_addr; flags interval; elements = { 192.0.2.0/25, 192.0.2.200 } }
  chain input { type filter hook input priority 10; policy accept; ip saddr @blocked drop comment "blocked"; }
  chain forward { type filter hook forward priority 10; policy accept; ct mark 0x77 accept; }
}
table ip tortie_admin {
  chain nat { type nat hook postrouting priority 110; policy accept; ip saddr 198.51.100.0/24 ip daddr 192.0.2.9 masquerade; }
}
RULES
iptables -A INPUT -s 192.0.2.7 -m comment --comment "tortie: not ours" -j DROP
iptables -N ADMIN
iptables -A FORWARD -d 192.0.2.8 -j ADMIN
iptables -t nat -A PREROUTING -p tcp -d 198.51.100.1 --dport 8443 -j DNAT --to-destination 198.51.100.9:443
ip6tables -A INPUT -s 2001:db8:bad::/48 -j DROP
mkdir -p /etc/admin /run/admin
echo "keep" >/etc/admin/notes
echo "keep" >/run/admin/notes
`;

const look = `
for link in adm0 adm1 caliadmin0 bwpadmin0; do
  ip -d link show $link
  ip address show dev $link
  tc qdisc show dev $link
  for family in 4 6; do ip -$family route show table all dev $link; done
done
tc filter show dev adm0 parent ffff:
ip route show table 77
ip rule show | sed -E '/^3200[12]:.* proto 80 *$/d'
ip neighbour show dev adm0 nud permanent
cat /proc/sys/net/ipv4/conf/adm0/proxy_arp /proc/sys/net/ipv4/conf/adm0/rp_filter
nft list table inet admin
nft list table ip tortie_admin
for table in filter nat; do iptables -t $table -S; done
ip6tables -S
cat /etc/admin/notes /run/admin/notes
`;
