/** The examples of docs/bgp.md, with real BIRD: what they promise comes true. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import { birdConfig } from "../../src/agent/bgp/bird-config.ts";
import { bgpConfigurationSchema, bgpFilterSchema, bgpPeerSchema } from "../../src/agent/bgp/resources.ts";
import type { BgpNode, BgpSnapshot } from "../../src/agent/bgp/snapshot.ts";
import { birdIsMissing, Routers } from "../lib/node/bird.ts";
import { examplesDir } from "../lib/suite.ts";
import { snapshot } from "../unit/agent/bgp/snapshots.ts";

if (birdIsMissing !== undefined) console.error(`skipped: ${birdIsMissing}`);

interface Document {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: object;
}

function resourcesOf(example: string): Partial<BgpSnapshot> {
  const text = readFileSync(join(examplesDir, "bgp", `${example}.yaml`), "utf8");
  const documents = parseAllDocuments(text).map((document) => document.toJS() as Document);
  const of = <T>(kind: string, parse: (spec: object) => T) =>
    documents.filter((one) => one.kind === kind).map(({ metadata: { name }, spec }) => ({ name, spec: parse(spec) }));
  return {
    configurations: of("BGPConfiguration", (spec) => bgpConfigurationSchema.parse(spec)),
    peers: of("BGPPeer", (spec) => bgpPeerSchema.parse(spec)),
    filters: of("BGPFilter", (spec) => bgpFilterSchema.parse(spec)),
  };
}

describe.skipIf(birdIsMissing !== undefined)("examples", () => {
  let routers: Routers;
  beforeAll(async () => {
    routers = await Routers.start();
  });
  afterAll(() => routers?.stop());

  it("route-reflector: nodes without a session reach each other's blocks", async () => {
    const node = (name: string, last: number, more: Partial<BgpNode> = {}): BgpNode => {
      return { name, labels: {}, addresses: { 4: `10.9.0.${last}/24` }, ...more };
    };
    const isReflector = { labels: { "route-reflector": "true" }, routeReflectorClusterId: "244.0.0.1" };
    const nodes = [node("n1", 1), node("n2", 2), node("rr", 3, isReflector)];
    for (const { name } of nodes) routers.add(name);
    routers.connectAll("lan", Object.fromEntries(nodes.map(({ name, addresses }) => [name, [addresses[4] as string]])));
    for (const [index, { name }] of nodes.entries()) {
      const own = { node: name, nodes, blocks: [`192.168.${index}.0/26`] };
      const { text, problems } = birdConfig(
        snapshot({ ...resourcesOf("route-reflector"), ...own }),
        routers.bird(name).logFile,
      );
      expect(problems).toEqual([]);
      await routers.bird(name).configure(text);
    }
    await routers.until(() => routers.learned("n1").includes("192.168.1.0/26 via 10.9.0.2"));
    await routers.until(() => routers.learned("n2").includes("192.168.0.0/26 via 10.9.0.1"));
    expect((await routers.bird("n1").sessions()).map(({ neighbour }) => neighbour)).toEqual(["10.9.0.3"]);
  });

  it("leaf-spine: pods reach each other through the fabric, of which the nodes take no other route", async () => {
    const nodes: readonly BgpNode[] = [
      { name: "node-a", labels: { rack: "1" }, addresses: { 4: "10.1.0.1/24" }, asNumber: 64_601 },
      { name: "node-b", labels: { rack: "2" }, addresses: { 4: "10.2.0.1/24" }, asNumber: 64_602 },
    ];
    for (const name of ["node-a", "leaf-1", "spine", "leaf-2", "node-b"]) routers.add(name);
    routers.connect("node-a", "10.1.0.1/24", "leaf-1", "10.1.0.254/24");
    routers.connect("leaf-1", "10.100.1.1/30", "spine", "10.100.1.2/30");
    routers.connect("leaf-2", "10.100.2.1/30", "spine", "10.100.2.2/30");
    routers.connect("node-b", "10.2.0.1/24", "leaf-2", "10.2.0.254/24");
    await routers
      .bird("leaf-1")
      .configure(switchConfig("10.1.0.254", 65_001, { "10.1.0.1": 64_601, "10.100.1.2": 65_000 }));
    await routers
      .bird("leaf-2")
      .configure(switchConfig("10.2.0.254", 65_002, { "10.2.0.1": 64_602, "10.100.2.2": 65_000 }));
    await routers
      .bird("spine")
      .configure(switchConfig("10.100.1.2", 65_000, { "10.100.1.1": 65_001, "10.100.2.1": 65_002 }));
    for (const [index, { name }] of nodes.entries()) {
      const own = { node: name, nodes, blocks: [`192.168.${index + 1}.0/26`] };
      const { text, problems } = birdConfig(
        snapshot({ ...resourcesOf("leaf-spine"), ...own }),
        routers.bird(name).logFile,
      );
      expect(problems).toEqual([]);
      routers.machine.sh(`ip address add 192.168.${index + 1}.5/32 dev lo`, { in: name });
      await routers.bird(name).configure(text);
    }
    await routers.until(() => routers.learned("node-a").includes("192.168.2.0/26 via 10.1.0.254"));
    await routers.until(() => routers.learned("node-b").includes("192.168.1.0/26 via 10.2.0.254"));
    const ping = ["ping", "-n", "-c", "1", "-W", "1", "-I", "192.168.1.5", "192.168.2.5"];
    await routers.until(() => routers.machine.run(ping, { in: "node-a" }).status === 0);
    // The spine announces its own networks too.
    expect(routers.learned("leaf-1")).toContain("10.100.2.0/30");
    expect(routers.learned("node-a")).not.toContain("10.100.");
  });
});

/** A switch that announces its networks and everything that it learned. */
function switchConfig(id: string, as: number, neighbours: Readonly<Record<string, number>>): string {
  const sessions = Object.entries(neighbours).map(
    ([address, remote], index) =>
      `protocol bgp Node_${index} { local as ${as}; neighbor ${address} as ${remote};
  ipv4 { import all; export where source ~ [ RTS_BGP, RTS_DEVICE ]; next hop self; }; }`,
  );
  return `log stderr { error, fatal, bug };
router id ${id};
protocol device {}
protocol direct { ipv4; }
protocol kernel { scan time 1; ipv4 { import none; export where source = RTS_BGP; }; }
${sessions.join("\n")}
`;
}
