/** The descriptor of `ptp`. */
import type { Descriptor } from "../../src/plugin/descriptor.ts";
import { ptpTable, vethPrefix } from "./names.ts";

export const descriptor: Descriptor = {
  name: "ptp",
  role: "main",
  purpose:
    "a veth pair with the gateway's address on the host, as the reference's `ptp`; any IPAM plugin; masquerading",
  sharesName: true,
  traces: { outlive: true, endpoint: false, tables: [ptpTable], hostInterfaces: [vethPrefix], devices: [], locks: [] },
  // It needs no features beyond those of `calico`.
  features: [],
  snippet: { ipMasq: true, ipam: { type: "host-local", subnet: "10.22.0.0/16", routes: [{ dst: "0.0.0.0/0" }] } },
  capabilities: [],
};
