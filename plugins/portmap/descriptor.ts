/** The descriptor of `portmap`. */
import { type Descriptor, natRuleAttempt } from "../../src/plugin/descriptor.ts";
import { iptablesLock, portmapTable } from "./names.ts";

const noHostPorts = "host ports need it";
const noHostPorts6 = "IPv6 host ports need it";

export const descriptor: Descriptor = {
  name: "portmap",
  role: "chained",
  purpose: "host ports, with nf_tables maps or iptables",
  sharesName: true,
  traces: {
    outlive: true,
    endpoint: false,
    tables: [portmapTable],
    hostInterfaces: [],
    devices: [],
    locks: [iptablesLock],
  },
  features: [
    {
      name: "fib lookups",
      purpose: noHostPorts,
      module: "nft_fib_ipv4",
      needs: "NAT chains",
      attempt: natRuleAttempt("prerouting", -100, "fib daddr type local"),
    },
    {
      name: "destination NAT",
      purpose: noHostPorts,
      module: "nft_nat",
      needs: "NAT chains",
      attempt: natRuleAttempt("prerouting", -100, "dnat to 192.0.2.1"),
    },
    {
      name: "conntrack matches",
      purpose: noHostPorts,
      module: "nft_ct",
      needs: "NAT chains",
      attempt: natRuleAttempt("postrouting", 100, "ct status dnat"),
    },
    {
      name: "IPv6 fib lookups",
      purpose: noHostPorts6,
      module: "nft_fib_ipv6",
      needs: "nf_tables",
      isRare: true,
      attempt: "nft 'add table ip6 t; add chain ip6 t c; add rule ip6 t c fib daddr type local'",
    },
    {
      name: "IPv6 host ports",
      purpose: noHostPorts6,
      needs: "nf_tables",
      isRare: true,
      attempt:
        "nft 'add table ip6 t; add map ip6 t m { type inet_service : ipv6_addr . inet_service; }; " +
        "add element ip6 t m { 1 : ::1 . 1 }'",
    },
  ],
  snippet: { snat: true },
  capabilities: [{ name: "portMappings", without: "host ports are never mapped", instead: [] }],
};
