/**
 * BIRD with the agent's configuration, on the real kernel: three routers on one network.
 *
 *     a 10.9.0.1 ── lan ── b 10.9.0.2
 *                    └──── tor 10.9.0.254 (AS 65001, outside of the cluster)
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { birdConfig } from "../../src/agent/bgp/bird-config.ts";
import type { BgpNode, BgpSnapshot } from "../../src/agent/bgp/snapshot.ts";
import { birdIsMissing, birdProgram, Routers } from "../lib/node/bird.ts";
import { cases, filter, peer, snapshot } from "../unit/agent/bgp/snapshots.ts";

if (birdIsMissing !== undefined) console.error(`skipped: ${birdIsMissing}`);

const member = (name: string, last: number): BgpNode => ({
  name,
  labels: {},
  addresses: { 4: `10.9.0.${last}/24`, 6: `fd09::${last}/64` },
});
const blocks = { a: ["192.168.1.0/26", "fd10:244:0:1::/122"], b: ["192.168.2.0/26", "fd10:244:0:2::/122"] };
const torPeer = peer("tor", { peerIP: "10.9.0.254", asNumber: 65_001, filters: ["leaf"] });
const leaf = filter("leaf", { importV4: [{ action: "Reject", cidr: "10.66.0.0/16", matchOperator: "In" }] });
const cluster = (name: "a" | "b", more: Partial<BgpSnapshot> = {}) =>
  snapshot({
    node: name,
    nodes: [member("a", 1), member("b", 2)],
    ...{ blocks: blocks[name], peers: [torPeer], filters: [leaf] },
    ...more,
  });

const torConfig = `log stderr { error, fatal, bug };
router id 10.9.0.254;
protocol device {}
protocol direct { ipv4; }
protocol static { ipv4; route 10.55.0.0/16 blackhole; route 10.66.1.0/24 blackhole; }
protocol kernel { scan time 1; ipv4 { import none; export where source = RTS_BGP; }; }
template bgp node { local 10.9.0.254 as 65001; multihop; graceful restart; ipv4 { import all; export all; next hop self; }; }
protocol bgp Node_a from node { neighbor 10.9.0.1 as 64512; }
protocol bgp Node_b from node { neighbor 10.9.0.2 as 64512; }
`;

describe.skipIf(birdIsMissing !== undefined)("Bird", () => {
  let routers: Routers;
  const learned = (name: string, family?: "-4" | "-6") => routers.learned(name, family);
  const configOf = (name: "a" | "b", more?: Partial<BgpSnapshot>) =>
    birdConfig(cluster(name, more), routers.bird(name).logFile).text;
  const sessions = (name: string) => routers.bird(name).sessions();

  beforeAll(async () => {
    routers = await Routers.start();
    for (const name of ["a", "b", "tor"]) routers.add(name);
    routers.connectAll("lan", {
      a: ["10.9.0.1/24", "fd09::1/64"],
      b: ["10.9.0.2/24", "fd09::2/64"],
      tor: ["10.9.0.254/24", "fd09::254/64"],
    });
    await routers.bird("tor").configure(torConfig);
    for (const name of ["a", "b"] as const) {
      routers.machine.sh(
        `ip link add calipod type veth peer name pod; ip link set calipod up; ip link set pod up
         ip route add ${blocks[name][0]?.replace("0/26", "5/32")} dev calipod
         ip route add blackhole ${blocks[name][0]} proto 80
         ip -6 route add blackhole ${blocks[name][1]} proto 80`,
        { in: name },
      );
      await routers.bird(name).configure(configOf(name));
    }
  }, 60_000);

  afterAll(() => routers?.stop());

  it.each(Object.keys(cases))("accepts the configuration of %s", async (name) => {
    const file = join(routers.directory, "golden.conf");
    writeFileSync(file, birdConfig(cases[name] as BgpSnapshot, "/run/bird.log").text);
    const { all, exitCode } = await execa(birdProgram, ["-p", "-c", file], { reject: false, all: true });
    // BIRD 2.17 has several ways to use a password, and says which one it takes; 2.0 has one, and no option for it.
    const complaints = all.split("\n").filter((line) => line !== "" && !line.includes("assuming MD5"));
    expect([exitCode, complaints]).toEqual([0, []]);
  });

  it("establishes the mesh and the peer, in both families", async () => {
    await routers.until(async () => (await sessions("a")).every(({ info }) => info === "Established"));
    const found = (await sessions("a")).map(({ neighbour, type }) => `${type} ${neighbour}`);
    expect(found).toEqual(["global 10.9.0.254", "node-to-node mesh 10.9.0.2", "node-to-node mesh fd09::2"]);
    expect(routers.trouble("a")).toBeUndefined();
  });

  it("routes to the other node's blocks, and to nothing more specific", async () => {
    await routers.until(() => learned("a").includes("192.168.2.0/26"));
    await routers.until(() => learned("a", "-6").includes("fd10:244:0:2::/122"));
    await routers.until(() => learned("tor").includes("192.168.1.0/26"));
    expect(learned("a")).toContain("192.168.2.0/26 via 10.9.0.2 dev eth0");
    expect(learned("a")).not.toContain("192.168.2.5");
    expect(learned("tor")).toContain("192.168.1.0/26 via 10.9.0.1 dev eth0");
  });

  it("takes a peer's routes but for those that a BGPFilter rejects", async () => {
    await routers.until(() => learned("a").includes("10.55.0.0/16 via 10.9.0.254"));
    expect(learned("a")).not.toContain("10.66.");
  });

  it("leaves routes with protocol number 80 and those of pods as they are", () => {
    const own = routers.machine.sh("ip -4 route show", { in: "a" });
    expect(own).toMatch(/^blackhole 192\.168\.1\.0\/26 proto 80/m);
    expect(own).not.toMatch(/^blackhole .*proto bird/m);
    expect(own).toMatch(/^192\.168\.1\.5 dev calipod/m);
  });

  it("keeps a configuration that works when a new one is refused", async () => {
    const file = join(routers.directory, "a/bird.conf");
    const before = readFileSync(file, "utf8");
    await routers.bird("a").configure("protocol nonsense {}\n");
    expect(routers.trouble("a")).toMatch(/^BIRD refuses the configuration: .*syntax error/s);
    await sleep(1500);
    expect(routers.trouble("a")).toMatch(/^BIRD refuses the configuration/);
    expect(readFileSync(file, "utf8")).toBe(before);
    expect((await sessions("a")).every(({ info }) => info === "Established")).toBe(true);
    await routers.bird("a").configure(before);
    expect(routers.trouble("a")).toBeUndefined();
  });

  it("applies a change without ending the sessions that it does not concern", async () => {
    const since = (await sessions("a")).map((one) => one.since);
    await routers.bird("a").configure(configOf("a", { blocks: [...blocks.a, "192.168.1.64/26"] }));
    await routers.until(() => learned("b").includes("192.168.1.64/26"));
    expect((await sessions("a")).map((one) => one.since)).toEqual(since);
  });

  it("is found by the next agent, and goes on", async () => {
    const since = (await sessions("a")).map((one) => one.since);
    await routers.bird("a").close();
    await routers.open("a").configure(configOf("a"));
    expect(routers.trouble("a")).toBeUndefined();
    expect((await sessions("a")).map((one) => one.since)).toEqual(since);
  });

  it("is started again when it was killed, and no route goes meanwhile", async () => {
    const pid = () => Number(readFileSync(join(routers.directory, "a/pid"), "utf8"));
    const isThere = () => [learned("a").includes("192.168.2.0/26"), learned("b").includes("192.168.1.0/26")];
    const killed = pid();
    routers.machine.sh(`kill -9 ${killed}`);
    const seen: boolean[][] = [];
    await routers.until(async () => {
      seen.push(isThere());
      const found = await sessions("a").catch(() => []);
      return found.length > 0 && found.every(({ info }) => info === "Established");
    });
    for (let left = 10; left > 0; left--) {
      seen.push(isThere());
      await sleep(200);
    }
    expect(seen.flat().every((there) => there)).toBe(true);
    expect(pid()).not.toBe(killed);
  });

  it("stops announcing a block that has gone", async () => {
    await routers.bird("b").configure(configOf("b", { blocks: [] }));
    await routers.until(() => !learned("a").includes("192.168.2.0/26"));
  });
});
