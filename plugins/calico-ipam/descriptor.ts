/** The descriptor of `calico-ipam`. */
import type { Descriptor } from "../../src/plugin/descriptor.ts";

export const descriptor: Descriptor = {
  name: "calico-ipam",
  role: "ipam",
  purpose: "addresses from Calico's pools, blocks, affinities and handles, stored as files",
  sharesName: false,
  traces: { outlive: true, endpoint: false, tables: [], hostInterfaces: [], devices: [], locks: [] },
  features: [],
  snippet: {},
  capabilities: [],
};
