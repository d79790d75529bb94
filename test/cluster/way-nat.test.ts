/** `tortie trace` where a node translates addresses: floating IPs and natOutgoing, as FelixConfiguration asks for them. */
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { etcdIsMissing } from "../lib/cluster/etcd.ts";
import { EtcdFabric, vxlanSettings } from "../lib/cluster/etcd-fabric.ts";
import { addFabricPod, type FabricPod, unreached } from "../lib/cluster/fabric-pods.ts";
import { traced, wrongHop } from "../lib/node/trace.ts";

const outside = "203.0.113.2";
const floatingIp = "198.51.100.9";
const missing = etcdIsMissing === undefined ? "" : `: ${etcdIsMissing}`;

describe.skipIf(etcdIsMissing !== undefined)(`the way of a packet that is translated${missing}`, () => {
  let cluster: EtcdFabric;
  let pods: readonly [FabricPod, FabricPod, FabricPod];

  const begin = (name: string) => cluster.begin(name, vxlanSettings, "network is in place");
  const way = (target: string) => {
    const [{ on, address4 }] = pods;
    const variables = ["env", "DATASTORE_TYPE=etcdv3", `ETCD_ENDPOINTS=${cluster.etcd.endpoint}`];
    const machine = { run: (argv: readonly string[]) => on.node.run([...variables, ...argv]) };
    return traced(machine, address4, target, ["--node=node-a"]);
  };
  const step = (target: string, what: string) => way(target).hops.find((hop) => hop.what === what);

  beforeAll(async () => {
    cluster = await EtcdFabric.start();
    for (const name of ["node-a", "node-c"]) await begin(name);
    const add = (on: string, name: string) => addFabricPod(cluster.fabric.named(on), name);
    pods = [add("node-a", "pod-0"), add("node-a", "pod-1"), add("node-c", "pod-2")];
    await vi.waitFor(() => expect(unreached(pods)).toEqual([]), { timeout: 30_000, interval: 200 });
  });
  afterAll(() => cluster?.stop());

  test("without bridge(8), what the FDB has stays open", () => {
    const { node } = pods[0].on;
    const links = ["ip", "nft", "nsenter"].map((name) => `ln -s $(command -v ${name}) /run/some/${name}`);
    node.sh(["mkdir /run/some", ...links].join("\n"));
    const variables = ["/usr/bin/env", "DATASTORE_TYPE=etcdv3", `ETCD_ENDPOINTS=${cluster.etcd.endpoint}`];
    const run = (argv: readonly string[]) => node.run([...variables, ...argv], { env: { PATH: "/run/some" } });
    const found = traced({ run }, pods[0].address4, pods[2].address4, ["--node=node-a"]);
    expect(wrongHop(found)).toBe("");
    const fdb = found.hops.find(({ what }) => what.startsWith("FDB"));
    expect(fdb).toMatchObject({ verdict: "unchecked", text: expect.stringContaining('"bridge" is not installed') });
  });

  test("a floating IP leads to its pod, and on another node stays open", async () => {
    await cluster.configure({ floatingIPs: "Enabled" });
    await cluster.setFloating(pods[1], [floatingIp]);
    await cluster.setFloating(pods[2], ["198.51.100.10"]);
    await expect
      .poll(() => step(floatingIp, "floating IP"), { timeout: 10_000 })
      .toMatchObject({ verdict: "good", text: expect.stringContaining(`(${pods[1].address4})`) });
    expect(wrongHop(way(floatingIp))).toBe("");
    const far = step("198.51.100.10", "floating IP");
    expect(far).toMatchObject({ verdict: "unchecked", text: expect.stringContaining("on node node-c") });
  });

  test("finds a floating IP that the node lost", async () => {
    await cluster.agent("node-a").kill();
    pods[0].on.node.sh("nft flush map ip tortie_floating floating");
    expect(wrongHop(way(floatingIp))).toMatch(
      /^node node-a: floating IP: 198\.51\.100\.9 should lead to \S+ here, but the table tortie_floating lacks it$/,
    );
    await begin("node-a");
    await expect.poll(() => wrongHop(way(floatingIp))).toBe("");
  });

  test("compares natOutgoing with FelixConfiguration", async () => {
    await cluster.configure({ natPortRange: "20000:20999", natOutgoingExclusions: "IPPoolsAndHostIPs" });
    const ports = "the packet leaves with the node's address, TCP and UDP from a port of 20000-20999";
    await expect
      .poll(() => step(outside, "natOutgoing"), { timeout: 10_000 })
      .toMatchObject({ verdict: "good", text: ports });
    expect(step("node-c", "natOutgoing")).toMatchObject({
      verdict: "unchecked",
      text: expect.stringContaining("natOutgoingExclusions"),
    });
    await cluster.agent("node-a").kill();
    await cluster.configure({ natOutgoingAddress: "10.1.0.1" });
    expect(wrongHop(way(outside))).toMatch(
      /^node node-a: natOutgoing: the table tortie translates to the node's address, .* it should be 10\.1\.0\.1$/,
    );
    await begin("node-a");
    await expect.poll(() => wrongHop(way(outside))).toBe("");
    expect(step(outside, "natOutgoing")?.text).toBe("the packet leaves with 10.1.0.1");
  });
});
