/** The descriptor of `loopback`. */
import type { Descriptor } from "../../src/plugin/descriptor.ts";

export const descriptor: Descriptor = {
  name: "loopback",
  role: "sandbox",
  purpose: "brings `lo` up in the pod; containerd runs it for every pod",
  sharesName: true,
  traces: { outlive: false, endpoint: false, tables: [], hostInterfaces: [], devices: [], locks: [] },
  features: [],
  snippet: {},
  capabilities: [],
};
