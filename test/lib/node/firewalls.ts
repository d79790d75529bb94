/**
 * Rule sets of other programs, for nodes that are shared with them. Reduced to what affects forwarded packets; the names, order and policies
 * of chains and tables are those of the programs.
 */

/** dockerd 28 with iptables: policy drop, accepts only for its own bridges. `program`: iptables or ip6tables. */
export const dockerIptables = (program: "iptables" | "ip6tables", policy: "DROP" | "ACCEPT" = "DROP") => `
${program}-restore -n <<'RULES'
*filter
:FORWARD ${policy} [0:0]
:DOCKER - [0:0]
:DOCKER-BRIDGE - [0:0]
:DOCKER-CT - [0:0]
:DOCKER-FORWARD - [0:0]
:DOCKER-ISOLATION-STAGE-1 - [0:0]
:DOCKER-ISOLATION-STAGE-2 - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-FORWARD
-A DOCKER ! -i docker0 -o docker0 -j DROP
-A DOCKER-BRIDGE -o docker0 -j DOCKER
-A DOCKER-CT -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-FORWARD -j DOCKER-CT
-A DOCKER-FORWARD -j DOCKER-ISOLATION-STAGE-1
-A DOCKER-FORWARD -j DOCKER-BRIDGE
-A DOCKER-FORWARD -i docker0 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
COMMIT
*nat
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ${program === "iptables" ? "! -d 127.0.0.0/8" : "! -d ::1/128"} -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s ${program === "iptables" ? "172.17.0.0/16" : "fd00:17::/64"} ! -o docker0 -j MASQUERADE
COMMIT
RULES
`;

/** dockerd 29 with its nftables back end: verdict maps by interface, policy accept. */
export const dockerNftables = ["ip", "ip6"]
  .map(
    (family) => `
nft -f - <<'RULES'
table ${family} docker-bridges {
  map filter-forward-in-jumps { type ifname : verdict; }
  map filter-forward-out-jumps { type ifname : verdict; }
  chain filter-FORWARD { type filter hook forward priority filter; policy accept;
    oifname vmap @filter-forward-in-jumps
    iifname vmap @filter-forward-out-jumps
  }
  chain filter-forward-in__docker0 { ct state established,related accept
    iifname "docker0" accept comment "ICC"
    drop comment "UNPUBLISHED PORT DROP"
  }
  chain filter-forward-out__docker0 { ct state established,related accept
    accept comment "OUTGOING"
  }
  chain nat-POSTROUTING { type nat hook postrouting priority srcnat; policy accept;
    oifname != "docker0" ${family} saddr ${family === "ip" ? "172.17.0.0/16" : "fd00:17::/64"} masquerade
  }
}
add element ${family} docker-bridges filter-forward-in-jumps { "docker0" : jump filter-forward-in__docker0 }
add element ${family} docker-bridges filter-forward-out-jumps { "docker0" : jump filter-forward-out__docker0 }
RULES
`,
  )
  .join("");

/** ufw 0.36, enabled, `deny (routed)`; `routes` are the rules that `ufw route allow` adds. */
export const ufw = (routes: readonly string[] = []) => `
iptables-restore -n <<'RULES'
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:ufw-before-forward - [0:0]
:ufw-before-input - [0:0]
:ufw-user-forward - [0:0]
:ufw-user-input - [0:0]
:ufw-after-forward - [0:0]
:ufw-after-logging-forward - [0:0]
:ufw-reject-forward - [0:0]
:ufw-logging-deny - [0:0]
-A INPUT -j ufw-before-input
-A FORWARD -j ufw-before-forward
-A FORWARD -j ufw-after-forward
-A FORWARD -j ufw-after-logging-forward
-A FORWARD -j ufw-reject-forward
-A ufw-before-forward -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-before-forward -p icmp -m icmp --icmp-type 3 -j ACCEPT
-A ufw-before-forward -p icmp -m icmp --icmp-type 8 -j ACCEPT
-A ufw-before-forward -j ufw-user-forward
-A ufw-before-input -i lo -j ACCEPT
-A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-before-input -m conntrack --ctstate INVALID -j ufw-logging-deny
-A ufw-before-input -m conntrack --ctstate INVALID -j DROP
-A ufw-before-input -p icmp -m icmp --icmp-type 8 -j ACCEPT
-A ufw-before-input -j ufw-user-input
-A ufw-user-input -p tcp -m tcp --dport 22 -j ACCEPT
-A ufw-after-logging-forward -m limit --limit 3/min --limit-burst 10 -j LOG --log-prefix "[UFW BLOCK] "
-A ufw-logging-deny -m conntrack --ctstate INVALID -m limit --limit 3/min --limit-burst 10 -j RETURN
${routes.map((route) => `-A ufw-user-forward ${route} -j ACCEPT`).join("\n")}
COMMIT
RULES
`;

/** firewalld 1.3 with nftables; `trusted` are the sources of the zone trusted, whose target is accept. */
export const firewalld = (trusted: readonly string[] = []) => {
  const jumps = trusted.map((pool) => {
    const match = `${pool.includes(":") ? "ip6" : "ip"} saddr ${pool}`;
    return `${match} jump filter_FWD_trusted\n    ${match} accept`;
  });
  return `
nft -f - <<'RULES'
table inet firewalld {
  chain filter_PREROUTING { type filter hook prerouting priority filter + 10; policy accept;
    icmpv6 type { nd-router-advert, nd-neighbor-solicit } accept
    meta nfproto ipv6 fib saddr . mark . iif oif missing drop
  }
  chain filter_INPUT { type filter hook input priority filter + 10; policy accept;
    ct state { established, related } accept
    ct status dnat accept
    iifname "lo" accept
    ct state invalid drop
    jump filter_INPUT_ZONES
    reject with icmpx admin-prohibited
  }
  chain filter_INPUT_ZONES {
    ${trusted.map((pool) => `${pool.includes(":") ? "ip6" : "ip"} saddr ${pool} accept`).join("\n    ")}
    iifname "uplink" goto filter_IN_public
    goto filter_IN_public
  }
  chain filter_IN_public {
    tcp dport 22 accept
    meta l4proto { icmp, ipv6-icmp } accept
  }
  chain filter_FORWARD { type filter hook forward priority filter + 10; policy accept;
    ct state { established, related } accept
    ct status dnat accept
    iifname "lo" accept
    ct state invalid drop
    ip6 daddr { ::/96, 2002:a00::/24 } reject with icmpv6 addr-unreachable
    jump filter_FORWARD_ZONES
    reject with icmpx admin-prohibited
  }
  chain filter_FORWARD_ZONES {
    ${jumps.join("\n    ")}
    iifname "uplink" goto filter_FWD_public
    goto filter_FWD_public
  }
  chain filter_FWD_trusted { accept; }
  chain filter_FWD_public {
    jump filter_FWD_public_allow
    meta l4proto { icmp, ipv6-icmp } accept
    reject with icmpx admin-prohibited
  }
  chain filter_FWD_public_allow { }
}
RULES
`;
};

/** The chains of kube-proxy in iptables mode that affect forwarded packets. */
export const kubeProxyIptables = ["iptables", "ip6tables"]
  .map(
    (program) => `
${program}-restore -n <<'RULES'
*filter
:KUBE-FORWARD - [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-PROXY-FIREWALL - [0:0]
:KUBE-FIREWALL - [0:0]
-A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
-A INPUT -j KUBE-FIREWALL
-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A KUBE-FORWARD -m conntrack --ctstate INVALID -m nfacct --nfacct-name ct_state_invalid_dropped_pkts -j DROP
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A KUBE-SERVICES -d ${program === "iptables" ? "10.96.0.10/32" : "fd96::a/128"} -p udp -m udp --dport 53 -m comment --comment "kube-system/kube-dns:dns has no endpoints" -j REJECT
COMMIT
*nat
:KUBE-POSTROUTING - [0:0]
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE
COMMIT
RULES
`,
  )
  .join("")
  // The kernel's nfacct is not always available.
  .replaceAll(" -m nfacct --nfacct-name ct_state_invalid_dropped_pkts", "");

/** kube-proxy in ipvs mode: its sets may be missing, its filter chains are these. */
export const kubeProxyIpvs = `
iptables-restore -n <<'RULES'
*filter
:KUBE-FORWARD - [0:0]
:KUBE-NODE-PORT - [0:0]
:KUBE-PROXY-FIREWALL - [0:0]
:KUBE-SOURCE-RANGES-FIREWALL - [0:0]
-A INPUT -m comment --comment "kube-proxy firewall rules" -j KUBE-PROXY-FIREWALL
-A INPUT -m comment --comment "kubernetes health check rules" -j KUBE-NODE-PORT
-A FORWARD -m comment --comment "kube-proxy firewall rules" -j KUBE-PROXY-FIREWALL
-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A KUBE-SOURCE-RANGES-FIREWALL -j DROP
COMMIT
RULES
ip link add kube-ipvs0 type bridge && ip address add 10.96.0.1/32 dev kube-ipvs0
`;

/** kube-proxy in nftables mode. */
export const kubeProxyNftables = ["ip", "ip6"]
  .map(
    (family) => `
nft -f - <<'RULES'
table ${family} kube-proxy {
  comment "rules for kube-proxy"
  map no-endpoint-services { type ${family === "ip" ? "ipv4" : "ipv6"}_addr . inet_proto . inet_service : verdict; }
  map firewall-ips { type ${family === "ip" ? "ipv4" : "ipv6"}_addr . inet_proto . inet_service : verdict; }
  set cluster-ips { type ${family === "ip" ? "ipv4" : "ipv6"}_addr; }
  chain filter-prerouting { type filter hook prerouting priority -110; policy accept;
    ct state new jump firewall-check
  }
  chain filter-forward { type filter hook forward priority -110; policy accept;
    ct state new jump service-endpoints-check
    ct state new jump cluster-ips-check
  }
  chain filter-input { type filter hook input priority -110; policy accept;
    ct state new jump service-endpoints-check
  }
  chain service-endpoints-check {
    ${family} daddr . meta l4proto . th dport vmap @no-endpoint-services
  }
  chain firewall-check {
    ${family} daddr . meta l4proto . th dport vmap @firewall-ips
  }
  chain cluster-ips-check {
    ${family} daddr @cluster-ips reject comment "Reject traffic to invalid ports of ClusterIPs"
    ${family} daddr ${family === "ip" ? "10.96.0.0/12" : "fd96::/112"} drop comment "Drop traffic to unallocated ClusterIPs"
  }
  chain nat-postrouting { type nat hook postrouting priority srcnat; policy accept;
    jump masquerading
  }
  chain masquerading {
    meta mark & 0x4000 == 0 return
    meta mark set meta mark ^ 0x4000
    masquerade fully-random
  }
}
RULES
`,
  )
  .join("");

/** flannel's bridge, its chains and its masquerade, beside our pods. */
export const flannel = `
ip link add cni0 type bridge && ip address add 10.42.0.1/24 dev cni0 && ip link set cni0 up
iptables-restore -n <<'RULES'
*filter
:FLANNEL-FWD - [0:0]
-A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
-A FLANNEL-FWD -s 10.42.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT
-A FLANNEL-FWD -d 10.42.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT
COMMIT
*nat
:FLANNEL-POSTRTG - [0:0]
-A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG
-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG -s 10.42.0.0/24 -d 10.42.0.0/16 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG -s 10.42.0.0/16 ! -d 224.0.0.0/4 -m comment --comment "flanneld masq" -j MASQUERADE --random-fully
COMMIT
RULES
`;

/** libvirt's network `default`, with iptables. */
export const libvirt = `
ip link add virbr0 type bridge && ip address add 192.168.122.1/24 dev virbr0 && ip link set virbr0 up
iptables-restore -n <<'RULES'
*filter
:LIBVIRT_FWI - [0:0]
:LIBVIRT_FWO - [0:0]
:LIBVIRT_FWX - [0:0]
:LIBVIRT_INP - [0:0]
-A INPUT -j LIBVIRT_INP
-A FORWARD -j LIBVIRT_FWX
-A FORWARD -j LIBVIRT_FWI
-A FORWARD -j LIBVIRT_FWO
-A LIBVIRT_FWI -d 192.168.122.0/24 -o virbr0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A LIBVIRT_FWI -o virbr0 -j REJECT --reject-with icmp-port-unreachable
-A LIBVIRT_FWO -s 192.168.122.0/24 -i virbr0 -j ACCEPT
-A LIBVIRT_FWO -i virbr0 -j REJECT --reject-with icmp-port-unreachable
-A LIBVIRT_FWX -i virbr0 -o virbr0 -j ACCEPT
-A LIBVIRT_INP -i virbr0 -p udp -m udp --dport 53 -j ACCEPT
COMMIT
*nat
:LIBVIRT_PRT - [0:0]
-A POSTROUTING -j LIBVIRT_PRT
-A LIBVIRT_PRT -s 192.168.122.0/24 ! -d 192.168.122.0/24 -j MASQUERADE
COMMIT
RULES
`;

/** The leftovers of an earlier Calico's felix: interfaces of pods that it does not know are cut off. */
export const felix = `
iptables-restore -n <<'RULES'
*filter
:cali-FORWARD - [0:0]
:cali-from-wl-dispatch - [0:0]
:cali-to-wl-dispatch - [0:0]
-A FORWARD -m comment --comment "cali:wUHhoiAYhphO9Mso" -j cali-FORWARD
-A cali-FORWARD -i cali+ -m comment --comment "cali:8ZoYfO5HKXWbB3pk" -j cali-from-wl-dispatch
-A cali-FORWARD -o cali+ -m comment --comment "cali:jdEuaPBe14V2hutn" -j cali-to-wl-dispatch
-A cali-from-wl-dispatch -m comment --comment "cali:zTj6P0TIgYvgz-md" -m comment --comment "Unknown interface" -j DROP
-A cali-to-wl-dispatch -m comment --comment "cali:7KNphB1nNHw80nIO" -m comment --comment "Unknown interface" -j DROP
COMMIT
RULES
`;
