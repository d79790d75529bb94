/**
 * The kernel after `tortie-net` has applied the agent's plan for the recorded cluster, and what Felix left in the kernel for the same objects
 * (`test/fixtures/calico-newest/felix`), in three modes: device, addresses, routes, FDB entries and neighbours, as iproute2 prints them.
 *
 * Deliberate differences:
 *
 *   routes of pods and of the node itself    the plugin's and the kernel's: not compared
 *   index, qlen and state of duplicate address detection    the kernel's
 *   order of FDB entries and neighbours      that of a hash table: both are sorted
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Node } from "../lib/node/netns.ts";
import { applyPlan, device } from "../lib/node/tortie-net.ts";
import { requireBuild } from "../lib/suite.ts";
import { planned, snapshotOf } from "../unit/agent/network/cluster.ts";
import { node as name, recordedCluster, recordingOf, section, uplink } from "../unit/agent/network/felix-recording.ts";

let node: Node;

beforeAll(requireBuild);
beforeAll(async () => {
  node = await Node.start(name);
  node.sh(`
    ip link add ${uplink.name} mtu ${uplink.mtu} type veth peer name beyond
    ip address add ${uplink.addresses[0]} dev ${uplink.name}
    ip link set ${uplink.name} up
    ip link set beyond up`);
});
afterAll(() => node?.stop());

/** The lines of a command, without what the kernel numbers. */
function print(command: string): readonly string[] {
  return node.sh(command).trim().split("\n").map(plain).sort();
}

function plain(line: string): string {
  return line
    .trim()
    .replace(/^\d+: /, "")
    .replace(/ (tentative|qlen \d+)/g, "")
    .replace(/ +/g, " ");
}

describe.each(["Always", "CrossSubnet", "Never"])("vxlanMode %s", (mode) => {
  const recording = recordingOf(mode);
  const recorded = (command: string) => section(recording, command).map(plain).sort();

  beforeAll(() => {
    const { plan } = planned(snapshotOf(recordedCluster(mode), name, [uplink], { hasIpv6: false }));
    if (plan === undefined) throw new Error("the agent has no plan");
    expect(applyPlan(node, plan).failures).toEqual([]);
    expect(applyPlan(node, plan)).toMatchObject({ applied: 0, removed: [] });
  });

  test("the same device", () => {
    expect(print(`ip -d link show ${device}`)).toEqual(recorded("ip -d link"));
  });

  test("the same addresses", () => {
    expect(print(`ip address show ${device}`)).toEqual(recorded("ip addr"));
  });

  test("the same routes", () => {
    const isCompared = (line: string) => !/ dev cali| default | proto kernel /.test(line);
    const found = print("ip -d route show table main").filter((line) => !/ dev uplink /.test(line));
    expect(found.filter(isCompared)).toEqual(recorded("ip -d route").filter(isCompared));
  });

  test("the same FDB entries and neighbours", () => {
    expect(print(`bridge fdb show dev ${device}`)).toEqual(recorded("bridge fdb"));
    expect(print(`ip neighbour show dev ${device} nud permanent`)).toEqual(recorded("ip neigh"));
  });
});
