/** BIRD's configuration: golden files for kinds of clusters, and what holds for all. */
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import * as config from "../../../../src/agent/bgp/bird-config.ts";
import { sessionsOf } from "../../../../src/agent/bgp/sessions.ts";
import type { BgpSnapshot } from "../../../../src/agent/bgp/snapshot.ts";
import { cases, configuration, dualNode, node, peer, snapshot } from "./snapshots.ts";

const birdConfig = (of: BgpSnapshot) => config.birdConfig(of, "/run/tortie/bird/bird.log");
const golden = (name: string) => fileURLToPath(new URL(`golden/${name}.conf`, import.meta.url));

describe("birdConfig", () => {
  it.each(Object.keys(cases))("writes the golden file of %s", async (name) => {
    const { text, problems } = birdConfig(cases[name] as (typeof cases)[string]);
    expect(problems).toEqual([]);
    await expect(text).toMatchFileSnapshot(golden(name));
  });

  it.each(Object.keys(cases))("does not depend on the order of the objects: %s", (name) => {
    const one = cases[name] as (typeof cases)[string];
    const other = {
      ...one,
      nodes: [...one.nodes].reverse(),
      peers: [...one.peers].reverse(),
      pools: [...one.pools].reverse(),
      blocks: [...one.blocks].reverse(),
      services: [...one.services].reverse(),
    };
    expect(birdConfig(other).text).toBe(birdConfig(one).text);
  });

  it("names a BGPFilter that does not exist, and closes the peer's channel", () => {
    const { text, problems } = birdConfig(
      snapshot({ peers: [peer("tor", { peerIP: "10.192.0.254", asNumber: 65_001, filters: ["gone"] })] }),
    );
    expect(problems).toEqual(['BGPFilter "gone" does not exist; the peers that name it get and send no routes']);
    expect(text).toContain("import none;\n    export none;");
  });
});

describe("sessionsOf", () => {
  const names = (...args: Parameters<typeof snapshot>) =>
    sessionsOf(snapshot(...args)).sessions.map(({ name }) => name);

  it("lets exactly one of two nodes of the mesh wait for the other", () => {
    const nodes = [dualNode("a", 2), dualNode("b", 30), dualNode("c", 100)];
    const passive = nodes.flatMap(({ name, addresses }) =>
      sessionsOf(snapshot({ node: name, nodes })).sessions.map(({ neighbour, isPassive, family }) => {
        const own = addresses[family]?.split("/")[0] as string;
        return { pair: [own, neighbour].sort().join(" "), isPassive };
      }),
    );
    for (const { pair } of passive) {
      const both = passive.filter((one) => one.pair === pair);
      expect(both.map(({ isPassive }) => isPassive).sort()).toEqual([false, true]);
    }
    expect(passive).toHaveLength(12);
  });

  it("gives every client a session with the reflector, and the reflector one with every client", () => {
    const nodes = [
      node("a", 2),
      node("b", 3),
      node("r", 4, { labels: { rr: "" }, routeReflectorClusterId: "1.0.0.1" }),
    ];
    const peers = [peer("rr", { peerSelector: "has(rr)" })];
    const without = [configuration("default", { nodeToNodeMeshEnabled: false })];
    expect(names({ node: "a", nodes, peers, configurations: without })).toEqual(["Global_10_192_0_4"]);
    expect(names({ node: "r", nodes, peers, configurations: without })).toEqual([
      "Global_10_192_0_2",
      "Global_10_192_0_3",
    ]);
  });

  it("creates no reverse session if reversePeering is Manual", () => {
    const nodes = [node("a", 2), node("r", 4, { labels: { rr: "" }, routeReflectorClusterId: "1.0.0.1" })];
    const peers = [peer("rr", { nodeSelector: "!has(rr)", peerSelector: "has(rr)", reversePeering: "Manual" })];
    expect(names({ node: "a", nodes, peers })).toEqual(["Node_10_192_0_4"]);
    expect(names({ node: "r", nodes, peers })).toEqual([]);
  });

  it("prefers a BGPPeer to the mesh, and one for this node to one for all", () => {
    const peers = [
      peer("a-global", { peerIP: "10.192.0.3", asNumber: 64_512 }),
      peer("b-node", { node: "kube-node-1", peerIP: "10.192.0.3", asNumber: 64_512, ttlSecurity: 1 }),
    ];
    const { sessions } = sessionsOf(snapshot({ peers }));
    expect(sessions.map(({ name, ttlSecurity }) => [name, ttlSecurity])).toEqual([
      ["Mesh_10_192_0_12", undefined],
      ["Node_10_192_0_3", 1],
    ]);
  });

  it.each([
    [{ peerIP: "10.0.0.300", asNumber: 1 }, 'peerIP "10.0.0.300" is not an address, with or without a port'],
    [{ peerIP: "10.192.0.254" }, "asNumber is missing"],
    [{ peerSelector: "has(" }, /selector/],
    [{ peerIP: "10.192.0.254", asNumber: 1, localWorkloadSelector: "all()" }, "localWorkloadSelector is not supported"],
  ])("reports a BGPPeer that cannot be honoured: %j", (spec, why) => {
    const { problems, sessions } = sessionsOf(snapshot({ peers: [peer("bad", spec)] }));
    expect(problems).toEqual([expect.stringMatching(/^BGPPeer "bad" is ignored: /)]);
    expect(problems[0]).toMatch(why);
    expect(sessions.every(({ type }) => type === "mesh")).toBe(true);
  });

  it("has no session without its password", () => {
    const password = { secretKeyRef: { name: "bgp", key: "tor" } };
    const peers = [peer("tor", { peerIP: "10.192.0.254", asNumber: 65_001, password })];
    const { sessions, problems } = sessionsOf(snapshot({ peers }));
    expect(sessions.some(({ neighbour }) => neighbour === "10.192.0.254")).toBe(false);
    expect(problems).toEqual([
      'BGPPeer "tor" has no session: key "tor" of secret "bgp" does not exist or may not be read',
    ]);
    const quoted = sessionsOf(snapshot({ peers, secrets: new Map([["bgp/tor", 'a"; import none; #']]) }));
    expect(quoted.problems[0]).toContain("has characters that BIRD cannot read");
  });

  it("has no session with itself, nor without an address of the peer's family", () => {
    const peers = [
      peer("self", { peerIP: "10.192.0.2", asNumber: 1 }),
      peer("six", { peerIP: "fd00::1", asNumber: 1 }),
    ];
    const { sessions, problems } = sessionsOf(snapshot({ peers }));
    expect(sessions.map(({ type }) => type)).toEqual(["mesh", "mesh"]);
    expect(problems).toEqual(['BGPPeer "six" has no session: this node has no IPv6 address']);
  });
});
