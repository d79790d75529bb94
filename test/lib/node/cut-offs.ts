/**
 * Ways in which something other than an attachment can cut pods off, as data: `test/netns/reach.test.ts` tries each.
 *
 * A row's scripts run in a shell on the node, with IF (the host interface of the pod), A4 and A6 (its addresses). The pods are in the pools
 * 10.244.0.0/16 and fd00:10:244::/64 and have natOutgoing.
 */
import { dockerIptables, felix, firewalld, ufw } from "./firewalls.ts";

export interface CutOff {
  readonly name: string;
  readonly script: string;
  /** The ID of the finding, and a pattern for its subject and text. */
  readonly finds: readonly [id: string, words: RegExp];
  /**
   * What repairs it: `--fix`, or an administrator who runs the remedy; or, if the remedy's program is not installed here, a script with the same
   * effect.
   */
  readonly repair: "fix" | "remedy" | { readonly as: string };
  /** Removes the rest, including effects of the repair. */
  readonly undo?: string;
  /** The families that lose connectivity; both if absent, none if the finding only warns. */
  readonly dead?: readonly (4 | 6)[];
  /** `warning`: found, but not an error. */
  readonly severity?: "warning";
  /** Whether only a probe packet reveals it. */
  readonly needsProbe?: true;
  /** Other findings that are reported with it. */
  readonly beside?: readonly string[];
}

const flushIptables = "for p in iptables ip6tables; do $p -P FORWARD ACCEPT; $p -P INPUT ACCEPT; $p -F; $p -X; done";

export const cutOffs: readonly CutOff[] = [
  {
    name: "net.ipv4.ip_forward is off",
    script: "sysctl -qw net.ipv4.ip_forward=0",
    finds: [
      "forwarding-off",
      /^net\/ipv4\/ip_forward is 0: IPv4 packets of pods do not leave the node, nor reach other pods$/,
    ],
    repair: "fix",
    dead: [4],
  },
  {
    name: "net.ipv6.conf.all.forwarding is off",
    script: "sysctl -qw net.ipv6.conf.all.forwarding=0",
    finds: ["forwarding-off", /^net\/ipv6\/conf\/all\/forwarding is 0/],
    repair: "fix",
    dead: [6],
  },
  {
    name: "forwarding is off on the uplink alone",
    script: "sysctl -qw net.ipv4.conf.uplink.forwarding=0",
    finds: ["forwarding-off", /^net\/ipv4\/conf\/uplink\/forwarding is 0: pods get no replies that arrive on uplink/],
    repair: "fix",
    dead: [4],
  },
  {
    name: "forwarding is off on the pod's host interface",
    script: "sysctl -qw net.ipv4.conf.$IF.forwarding=0",
    finds: ["forwarding-off", /^net\/ipv4\/conf\/cali\w+\/forwarding is 0: packets from its pod are not forwarded/],
    repair: "fix",
    dead: [4],
  },
  {
    name: "somebody's iptables -P FORWARD DROP",
    script: "iptables -P FORWARD DROP",
    finds: ["forward-dropped", /^iptables filter FORWARD drops packets from pods .* its policy "drop".* administrator/],
    repair: "remedy",
    undo: flushIptables,
    dead: [4],
  },
  {
    name: "docker, with iptables",
    script: dockerIptables("iptables"),
    finds: [
      "forward-dropped",
      /^iptables filter FORWARD drops .* its policy "drop".*; docker created it, and --fix does not change/,
    ],
    repair: "remedy",
    undo: `${flushIptables}; iptables -t nat -F; iptables -t nat -X`,
    dead: [4],
  },
  {
    name: "docker, with ip6tables",
    script: dockerIptables("ip6tables"),
    finds: ["forward-dropped", /^ip6tables filter FORWARD drops .*; docker created it/],
    repair: "remedy",
    undo: `${flushIptables}; ip6tables -t nat -F; ip6tables -t nat -X`,
    dead: [6],
  },
  {
    name: "ufw, whose routed traffic is denied",
    script: ufw(),
    finds: ["forward-dropped", /^iptables filter FORWARD drops .*; ufw created it/],
    repair: {
      as: "iptables -A ufw-user-forward -s 10.244.0.0/16 -j ACCEPT; iptables -A ufw-user-forward -d 10.244.0.0/16 -j ACCEPT",
    },
    undo: flushIptables,
    dead: [4],
  },
  {
    name: "firewalld, of which no zone has the pods",
    script: firewalld(),
    finds: [
      "forward-dropped",
      /^nft inet firewalld filter_FORWARD drops .* of chain filter_FWD_public.*; firewalld created it/,
    ],
    repair: { as: `nft delete table inet firewalld; ${firewalld(["10.244.0.0/16", "fd00:10:244::/64"])}` },
    undo: "nft delete table inet firewalld",
  },
  {
    name: "the node's own /etc/nftables.conf with policy drop",
    script: `nft 'table inet filter { chain forward { type filter hook forward priority 0; policy drop; ct state established,related accept; }; }'`,
    finds: [
      "forward-dropped",
      /^nft inet filter forward drops packets from pods to the outside and packets between pods, by its policy "drop"/,
    ],
    repair: "remedy",
    undo: "nft delete table inet filter",
  },
  {
    name: "legacy iptables beside nf_tables",
    script: "iptables-legacy -P FORWARD DROP",
    finds: ["forward-dropped", /^iptables-legacy filter FORWARD drops/],
    repair: "remedy",
    undo: "iptables-legacy -P FORWARD ACCEPT; iptables-legacy -F",
    dead: [4],
  },
  {
    name: "felix of an earlier Calico",
    script: felix,
    finds: ["forward-dropped", /^iptables filter FORWARD drops .*cali-from-wl-dispatch.*; Calico's felix created it/],
    repair: "remedy",
    undo: flushIptables,
    dead: [4],
  },
  {
    name: "a rule that rejects what comes from pods",
    script: "iptables -I FORWARD -i cali+ -j REJECT",
    finds: [
      "forward-dropped",
      /^iptables filter FORWARD drops packets from pods to the outside and packets between pods, by -A FORWARD -i cali\+ -j REJECT/,
    ],
    repair: "remedy",
    undo: flushIptables,
    dead: [4],
  },
  {
    name: "a rule that drops what is answered to pods",
    script: "ip6tables -I FORWARD -o cali+ -m conntrack --ctstate ESTABLISHED -j DROP",
    finds: ["forward-dropped", /^ip6tables filter FORWARD drops replies to pods, by -A FORWARD -o cali\+/],
    repair: "remedy",
    undo: flushIptables,
    dead: [6],
  },
  {
    name: "a rule of the table raw",
    script: "iptables -t raw -A PREROUTING -i cali+ -j DROP",
    finds: ["forward-dropped", /^iptables raw PREROUTING drops packets from pods to the outside/],
    repair: { as: "iptables -t raw -F PREROUTING" },
    dead: [4],
  },
  {
    name: "a rule that nobody here understands",
    script: `nft 'table inet odd { chain f { type filter hook forward priority 0; meta mark 0 meta length > 0 drop comment "who knows"; }; }'`,
    finds: ["forward-dropped", /^nft inet odd f drops .*rule \d+ \(who knows\).*a probe packet was lost/],
    repair: "remedy",
    undo: "nft delete table inet odd",
    needsProbe: true,
  },
  {
    name: "a rule before the main table with a default route (IPv4)",
    script: "ip route add default via 203.0.113.2 table 100; ip rule add pref 100 lookup 100",
    finds: [
      "way-diverted",
      /^IPv4 rule 100 \(from all lookup 100\) comes before the main table and sends packets to pods to uplink via 203/,
    ],
    repair: "remedy",
    undo: "ip rule del pref 100; ip rule del pref 99; ip route flush table 100",
    dead: [4],
  },
  {
    name: "a rule before the main table with a default route (IPv6)",
    script:
      "ip -6 route add default via 2001:db8:99::2 table 51820; ip -6 rule add pref 100 not fwmark 0xca6c lookup 51820",
    finds: ["way-diverted", /^IPv6 rule 100 \(not from all fwmark 0xca6c lookup 51820\) .*; wg-quick created it/],
    repair: "remedy",
    undo: "ip -6 rule del pref 100; ip -6 rule del pref 99; ip -6 route flush table 51820",
    dead: [6],
  },
  {
    name: "a cloud's table for the node's own address: the node does not reach its pods",
    script: "ip route add default via 203.0.113.2 table 1001; ip rule add pref 30000 from 203.0.113.1 lookup 1001",
    finds: ["way-diverted", /^IPv4 rule 30000 \(from 203\.0\.113\.1 lookup 1001\) comes before the main table/],
    repair: "remedy",
    undo: "ip rule del pref 30000; ip rule del pref 29999; ip route flush table 1001",
    dead: [],
  },
  ...(["blackhole", "unreachable", "prohibit"] as const).map(
    (action): CutOff => ({
      name: `a rule that says ${action}`,
      script: `ip rule add pref 500 iif $IF ${action}; ip -6 rule add pref 500 from fd00:10:244::/64 ${action}`,
      finds: ["way-refused", new RegExp(`^IPv4 rule 500 \\(from all iif cali\\w+ ${action}\\) refuses`)],
      repair: { as: "ip rule del pref 500; ip -6 rule del pref 500" },
      beside: ["way-refused"],
    }),
  ),
  {
    name: "a kill switch: a table whose default route is a blackhole",
    script: "ip route add blackhole default table 200; ip rule add pref 200 from 10.244.0.0/16 lookup 200",
    finds: ["way-refused", /^route blackhole default of table 200 refuses packets from a pod to the outside/],
    repair: "remedy",
    undo: "ip rule del pref 200",
    dead: [4],
  },
  {
    name: "a route that is preferred to the pod's own (IPv4)",
    script: "ip route prepend $A4/32 via 203.0.113.2 proto bird",
    finds: [
      "way-diverted",
      /^route [\d.]+ dev uplink takes precedence over the pod's own route and sends its packets to uplink via 203/,
    ],
    repair: "remedy",
    dead: [4],
  },
  {
    name: "a route that is preferred to the pod's own (IPv6)",
    script: "ip -6 route add $A6/128 via 2001:db8:99::2 metric 10",
    finds: ["way-diverted", /^route fd00:10:244:[\da-f:]+ dev uplink takes precedence over the pod's own route/],
    repair: "remedy",
    undo: "ip -6 route del $A6/128 dev uplink",
    dead: [6],
  },
  {
    name: "a blackhole before the pod's own route",
    script: "ip route prepend blackhole $A4/32",
    finds: ["way-refused", /^route blackhole [\d.]+ of table main refuses packets to a pod/],
    repair: "remedy",
    undo: "ip route del blackhole $A4/32",
    dead: [4],
  },
  {
    name: "a strict reverse path filter, and pods that leave by another uplink",
    script: `ip link add up2 type veth peer name up2 netns outside; ip address add 198.18.0.1/24 dev up2; ip link set up2 up
      ip -n outside address add 198.18.0.2/24 dev up2; ip -n outside link set up2 up
      ip route add default via 198.18.0.2 table 300; ip rule add pref 300 fwmark 1 lookup 300; sysctl -qw net.ipv4.conf.up2.rp_filter=1
      nft 'table ip marks { chain p { type filter hook prerouting priority -150; iifname "cali*" meta mark set 1; }; }'`,
    finds: ["reverse-path-filter", /^rp_filter of up2 is strict, and dropped the reply to a probe packet/],
    repair: "remedy",
    undo: "ip rule del pref 300; ip link del up2; nft delete table ip marks",
    needsProbe: true,
    dead: [4],
  },
  {
    name: "a neighbour entry of the node's that is not the pod's",
    script: "ip neighbour replace $A4 lladdr 02:00:00:00:00:01 dev $IF nud permanent",
    finds: ["neighbour-wrong", /^neighbour [\d.]+ dev cali\w+ .* has MAC address 02:00:00:00:00:01, but the pod's is/],
    repair: "fix",
    undo: "ip neighbour del $A4 dev $IF",
    dead: [4],
  },
  {
    name: "IPv6 is off on the uplink",
    script: "sysctl -qw net.ipv6.conf.uplink.disable_ipv6=1",
    finds: ["no-default-route", /^net\/ipv6\/conf\/uplink\/disable_ipv6 is 1, and the node has no IPv6 default route/],
    repair: {
      as: "sysctl -qw net.ipv6.conf.uplink.disable_ipv6=0; ip address add 2001:db8:99::1/64 dev uplink nodad; ip -6 route add default via 2001:db8:99::2",
    },
    severity: "warning",
    dead: [6],
  },
  {
    name: "the node has no default route",
    script: "ip route del default",
    finds: ["no-default-route", /^the node \(IPv4\) has no default route/],
    repair: { as: "ip route add default via 203.0.113.2" },
    severity: "warning",
    dead: [],
  },
  {
    name: "NetworkManager takes the host interface for its own",
    script: `cp /bin/sleep /run/NetworkManager; /run/NetworkManager 600 >/dev/null 2>&1 & ip address add 169.254.77.1/16 dev $IF`,
    finds: [
      "interface-managed",
      /^addresses of host interfaces were not set by the plugins: NetworkManager gave them: cali\w+ \(169\.254\.77\.1\/16\)/,
    ],
    repair: { as: "ip address del 169.254.77.1/16 dev $IF; ip route add $A4/32 dev $IF scope link" },
    undo: "kill $(sed -n 's/^\\([0-9]*\\) (NetworkManager).*/\\1/p' /proc/[0-9]*/stat); rm /run/NetworkManager",
    severity: "warning",
    dead: [],
  },
  {
    name: "the uplink takes smaller packets than pods send",
    script: "ip link set uplink mtu 1400",
    finds: ["mtu-larger", /^uplink has MTU 1400, and pods that use it have 1500/],
    repair: { as: "ip link set uplink mtu 1500" },
    severity: "warning",
    dead: [],
  },
  {
    name: "a filter of traffic control on the host interface",
    script: `tc qdisc add dev $IF clsact
      tc filter add dev $IF ingress protocol all u32 match u32 0 0 action mirred egress redirect dev lo`,
    finds: ["packets-lost", /^probe packet of a pod did not leave the node/],
    repair: { as: "tc qdisc del dev $IF clsact" },
    needsProbe: true,
    beside: ["foreign-program"],
  },
  {
    name: "a rate limit whose ifb link is gone",
    script: `ip link add bwp0123456789ab type ifb; ip link set bwp0123456789ab up; tc qdisc add dev $IF ingress
      tc filter add dev $IF ingress protocol all u32 match u32 0 0 action mirred egress redirect dev bwp0123456789ab
      ip link del bwp0123456789ab`,
    finds: ["redirect-lost", /^cali\w+ redirects packets from its pod to the ifb link of a rate limit, which is gone/],
    repair: "fix",
  },
  {
    name: "another's source NAT comes before ours",
    script: `nft 'table ip early { chain p { type nat hook postrouting priority 90; ip saddr 10.244.0.0/16 snat to 203.0.113.77; }; }'`,
    finds: ["nat-elsewhere", /leaves the node with 203\.0\.113\.77, which is not an address of the node/],
    repair: { as: "nft delete table ip early" },
    severity: "warning",
    needsProbe: true,
    beside: ["answers-lost"],
    dead: [4],
  },
  {
    name: "a firewall of the node that keeps pods from its DNS server",
    script: `nft 'table inet host { chain input { type filter hook input priority 0; policy drop; ct state established,related accept; iifname "lo" accept; iifname "uplink" accept; meta l4proto ipv6-icmp accept; }; }'
      ${process.execPath} -e 'require("dgram").createSocket("udp4").bind(53)' >/dev/null 2>&1 & sleep 0.5`,
    finds: [
      "node-drops-pods",
      /^nft inet host input drops packets from pods to the node, by its policy "drop", and the node serves DNS/,
    ],
    repair: "remedy",
    undo: "nft delete table inet host; kill $(sed -n 's/^\\([0-9]*\\) (node).*/\\1/p' /proc/[0-9]*/stat)",
    severity: "warning",
    dead: [],
  },
];
