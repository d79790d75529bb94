/** The descriptor of `calico`. */
import { hostInterfacePrefix, natTable } from "../../src/identity/names.ts";
import { type Descriptor, natRuleAttempt } from "../../src/plugin/descriptor.ts";

const noWayOut = "natOutgoing needs it";

export const descriptor: Descriptor = {
  name: "calico",
  role: "main",
  purpose: "the pod's interface: a veth pair, a host route to the pod, proxy ARP, `169.254.1.1`; IPv4, IPv6 or both",
  sharesName: false,
  traces: {
    outlive: true,
    endpoint: true,
    tables: [natTable],
    hostInterfaces: [hostInterfacePrefix],
    devices: [],
    locks: [],
  },
  features: [
    {
      name: "veth",
      purpose: "the interfaces of pods need it",
      module: "veth",
      attempt: "ip link add v0 type veth peer name v1",
    },
    { name: "nf_tables", purpose: noWayOut, module: "nf_tables", attempt: "nft add table ip t" },
    {
      name: "NAT chains",
      purpose: noWayOut,
      module: "nft_chain_nat",
      needs: "nf_tables",
      attempt: "nft 'add chain ip t postrouting { type nat hook postrouting priority 100; }'",
    },
    {
      name: "masquerading",
      purpose: noWayOut,
      module: "nft_masq",
      needs: "NAT chains",
      attempt: natRuleAttempt("postrouting", 100, "masquerade"),
    },
  ],
  snippet: { ipam: { type: "calico-ipam" } },
  capabilities: [],
};
