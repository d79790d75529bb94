/** The descriptor of `bandwidth`. */
import { ifbPrefix } from "../../src/identity/names.ts";
import type { Descriptor } from "../../src/plugin/descriptor.ts";

const noEgressLimit = "egress limits need it";

export const descriptor: Descriptor = {
  name: "bandwidth",
  role: "chained",
  purpose: "rate limits in both directions",
  sharesName: true,
  traces: { outlive: true, endpoint: false, tables: [], hostInterfaces: [], devices: [ifbPrefix], locks: [] },
  features: [
    { name: "ifb", purpose: noEgressLimit, module: "ifb", attempt: "ip link add i0 type ifb" },
    {
      name: "tbf",
      purpose: "rate limits need it",
      module: "sch_tbf",
      attempt: "tc qdisc add dev lo root tbf rate 1mbit burst 10k latency 25ms",
    },
    { name: "ingress", purpose: noEgressLimit, module: "sch_ingress", attempt: "tc qdisc add dev lo ingress" },
    {
      name: "u32",
      purpose: noEgressLimit,
      module: "cls_u32",
      needs: "ingress",
      attempt: "tc filter add dev lo parent ffff: protocol all u32 match u32 0 0 flowid 1:1",
    },
    {
      name: "mirred",
      purpose: noEgressLimit,
      module: "act_mirred",
      attempt: "tc actions add action mirred egress redirect dev lo",
    },
  ],
  snippet: {},
  capabilities: [{ name: "bandwidth", without: "rate limits are never set", instead: ["ingressRate", "egressRate"] }],
};
