import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import { faultsOfSettings, resolveSettings } from "../../../src/cluster-network/network-settings.ts";
import type { StoredObject } from "../../../src/store/object.ts";
import { examplesDir } from "../../lib/suite.ts";

const text = readFileSync(join(examplesDir, "cluster/felixconfiguration.yaml"), "utf8");
const configurations = parseAllDocuments(text).map((document) => document.toJS() as StoredObject);
const cluster = {
  natOutgoingExclusions: "IPPoolsAndHostIPs",
  natPortRange: "32768-65000",
  iptablesNATOutgoingInterfaceFilter: "eth*",
  floatingIPs: "Enabled",
  workloadSourceSpoofing: "Any",
};

/** The settings that are set. */
function settingsOf(node: string): object {
  const settings = resolveSettings({}, configurations, node);
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
}

describe("resolveSettings()", () => {
  it("understands each value of the example, on any node and on the one that it names", () => {
    expect(faultsOfSettings(configurations, "edge-1")).toEqual([]);
    expect(settingsOf("node-a")).toEqual(cluster);
    expect(settingsOf("edge-1")).toEqual({ ...cluster, natOutgoingAddress: "203.0.113.10", vxlanMTU: 1400 });
  });
});

describe("faultsOfSettings()", () => {
  const configuration = (name: string, spec: object) => ({ metadata: { name }, spec }) as StoredObject;

  it("names each value that is not valid, of the cluster and of the node, and no other", () => {
    const faulty = [
      configuration("default", { natPortRange: "9:1", vxlanMTU: 0, vxlanPort: null, bpfEnabled: "?" }),
      configuration("node.a", { floatingIPs: "enabled" }),
      configuration("node.b", { floatingIPs: "enabled" }),
    ];
    expect(faultsOfSettings(faulty, "a")).toEqual([
      'FelixConfiguration "default": natPortRange has no valid value, and counts as not set: "9:1"',
      'FelixConfiguration "node.a": floatingIPs has no valid value, and counts as not set: "enabled"',
    ]);
  });
});
