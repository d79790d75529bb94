/** Set-up scripts of nodes that are shared with other software. The pods are in 10.244.0.0/16 and fd00:10:244::/64. */
import {
  dockerIptables,
  dockerNftables,
  firewalld,
  flannel,
  kubeProxyIptables,
  kubeProxyIpvs,
  kubeProxyNftables,
  libvirt,
  ufw,
} from "./firewalls.ts";

export interface BusyNode {
  readonly name: string;
  readonly script: string;
  /** The rules alone are inconclusive; a probe packet decides. */
  readonly needsProbe?: true;
}

const pools = ["10.244.0.0/16", "fd00:10:244::/64"];
const throughDocker = ["iptables", "ip6tables"]
  .map((program) => `${program} -I DOCKER-USER -i cali+ -j ACCEPT; ${program} -I DOCKER-USER -o cali+ -j ACCEPT`)
  .join("\n");

export const busyNodes: readonly BusyNode[] = [
  {
    name: "docker with iptables, whose DOCKER-USER lets pods through",
    script: `${dockerIptables("iptables")}${dockerIptables("ip6tables")}${throughDocker}`,
  },
  {
    name: "docker with iptables, started where forwarding was on",
    script: `${dockerIptables("iptables", "ACCEPT")}${dockerIptables("ip6tables", "ACCEPT")}`,
  },
  { name: "docker with nftables", script: dockerNftables },
  { name: "kube-proxy, mode iptables", script: kubeProxyIptables },
  { name: "kube-proxy, mode ipvs", script: kubeProxyIpvs },
  { name: "kube-proxy, mode nftables", script: kubeProxyNftables },
  { name: "firewalld that trusts the pools", script: firewalld(pools) },
  { name: "ufw that routes for the pools", script: ufw(["-s 10.244.0.0/16", "-d 10.244.0.0/16"]) },
  { name: "flannel's bridge and masquerade", script: flannel },
  { name: "libvirt's network", script: libvirt },
  {
    name: "all of them at once",
    script: [
      dockerIptables("iptables", "ACCEPT"),
      kubeProxyIptables,
      kubeProxyNftables,
      flannel,
      libvirt,
      firewalld(pools),
    ].join(""),
  },
  {
    name: "five thousand rules of somebody else",
    script: `
{ echo '*filter'
  for i in $(seq 0 2499); do
    echo "-A FORWARD -s 10.$((i / 250)).$((i % 250)).0/24 -p tcp -m tcp --dport $((i + 1)) -m comment --comment \\"rule $i\\" -j DROP"
  done
  echo COMMIT; } | iptables-restore -n
{ echo 'add table inet big'
  echo 'add chain inet big f { type filter hook forward priority 10; policy accept; }'
  for i in $(seq 0 2499); do echo "add rule inet big f ip saddr 10.1.$((i / 250)).$((i % 250)) tcp dport $((i + 1)) drop"; done; } | nft -f -
`,
  },
  {
    name: "a cloud's policy routing, a table for each interface",
    script: `
ip link add nic1 type veth peer name nic1 netns outside
ip address add 198.18.1.1/24 dev nic1; ip link set nic1 up
ip -n outside address add 198.18.1.2/24 dev nic1; ip -n outside link set nic1 up
ip route add default via 203.0.113.2 table 1001; ip rule add pref 30000 from 203.0.113.1 lookup 1001
ip rule add pref 512 to 10.244.0.0/16 lookup main
ip route add default via 198.18.1.2 table 1002; ip rule add pref 30001 from 198.18.1.1 lookup 1002
sysctl -qw net.ipv4.conf.all.rp_filter=1
`,
  },
  {
    name: "two uplinks, and a backup default route",
    script: `
ip link add nic1 type veth peer name nic1 netns outside
ip address add 198.18.1.1/24 dev nic1; ip link set nic1 up
ip -n outside address add 198.18.1.2/24 dev nic1; ip -n outside link set nic1 up
ip route add default via 198.18.1.2 metric 200
`,
  },
  {
    name: "wg-quick: a tunnel for all, with the main table's own routes first",
    script: `
ip link add wg0 type veth peer name wg0 netns outside
ip address add 198.18.2.1/24 dev wg0; ip link set wg0 up
ip -n outside address add 198.18.2.2/24 dev wg0; ip -n outside link set wg0 up
ip route add default via 198.18.2.2 table 51820
ip rule add not fwmark 0xca6c table 51820; ip rule add table main suppress_prefixlength 0
`,
  },
  {
    name: "a firewall that lets nobody in, and forwards for pods by a named set",
    needsProbe: true,
    script: `
nft -f - <<'RULES'
table inet filter {
  set trusted { type ifname; flags interval; auto-merge; elements = { "cali*" } }
  chain input { type filter hook input priority 0; policy drop;
    ct state vmap { established : accept, related : accept, invalid : drop }
    iifname "lo" accept
    meta l4proto ipv6-icmp accept
  }
  chain forward { type filter hook forward priority 0; policy drop;
    ct state vmap { established : accept, related : accept, invalid : drop }
    iifname @trusted accept
  }
}
RULES
`,
  },
];
