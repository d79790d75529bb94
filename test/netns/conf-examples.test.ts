/** Every file of `conf-examples` loads and runs: ADD, CHECK and DEL, after which the host is unchanged. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { descriptors } from "#plugins/descriptors";
import { type Conflist, loadConflist } from "../lib/conflist.ts";
import { leaks } from "../lib/node/kept.ts";
import { Node } from "../lib/node/netns.ts";
import { diff, snapshot } from "../lib/node/snapshot.ts";
import { ask, ping, serve } from "../lib/node/traffic.ts";
import { Runner } from "../lib/runtimes/runner.ts";
import { example, exampleNames, examplesDir, pluginDirs, requireBuild } from "../lib/suite.ts";

const capabilities = {
  portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }],
  bandwidth: { ingressRate: 50e6, ingressBurst: 4e6, egressRate: 50e6, egressBurst: 4e6 },
};

beforeAll(requireBuild);

test("conf-examples/README.md has a line for every example", () => {
  const readme = readFileSync(`${examplesDir}/README.md`, "utf8");
  const lines = exampleNames().filter((name) => new RegExp(`^\\| \`${name}\` +\\| \\S`, "m").test(readme));
  expect(lines).toEqual(exampleNames());
});

const [ofPods, ofLo] = [true, false].map((wanted) => exampleNames().filter((name) => givesAddresses(name) === wanted));

describe.each(ofPods ?? [])("%s", (name) => {
  let node: Node;
  beforeAll(async () => {
    node = await Node.start();
  });
  afterAll(async () => {
    await node?.stop();
  });

  test("ADD gives addresses that answer, its host port answers, CHECK agrees, DEL leaves the host as before", () => {
    const list = loadConflist(example(name));
    const runner = new Runner({ node, pluginDirs });
    const before = snapshot(node);
    const pod = { containerId: "example", netns: node.addPod("example"), ifname: "eth0", capabilities };
    const addresses = runner.add(list, pod).ips?.map(({ address }) => address.replace(/\/.*/, "")) ?? [];
    expect(addresses.length).toBeGreaterThan(0);
    expect(addresses.filter((address) => !ping(node, undefined, address))).toEqual([]);
    // Calico's natOutgoing depends on pools: addresses of another IPAM plugin are not masqueraded, so the outside needs routes to them.
    if (ipamOf(list) !== "calico-ipam") for (const address of addresses) teachOutside(node, address);
    expect(addresses.filter((address) => !ping(node, "example", outsideOf(address)))).toEqual([]);
    serve(node, "example", 80);
    for (const address of addresses) expect(ask(node, "outside", nodeOf(address), 8080)).toContain("example sees");
    runner.check(list, pod);
    runner.del(list, pod);
    expect(leaks(diff(before, snapshot(node))).filter((line) => !/ file \/(run|var\/lib)\/cni\//.test(line))).toEqual(
      [],
    );
  });
});

test.each(ofLo ?? [])("%s: ADD raises lo, CHECK agrees, DEL leaves the host as before", async (name) => {
  const list = loadConflist(example(name));
  const node = await Node.start();
  try {
    const runner = new Runner({ node, pluginDirs });
    node.sh("ip netns add example");
    const before = snapshot(node);
    const pod = { containerId: "example", netns: "/run/netns/example", ifname: "lo" };
    expect(runner.add(list, pod).ips?.map(({ address }) => address)).toEqual(["127.0.0.1/8", "::1/128"]);
    expect([ping(node, "example", "127.0.0.1"), ping(node, "example", "::1")]).toEqual([true, true]);
    runner.check(list, pod);
    runner.del(list, pod);
    expect(diff(before, snapshot(node))).toBe("");
  } finally {
    await node.stop();
  }
});

/** A list without a main plugin gives a pod no address of its own. */
function givesAddresses(name: string): boolean {
  const mains = descriptors.filter(({ role }) => role === "main").map((descriptor): string => descriptor.name);
  return loadConflist(example(name)).plugins.some(({ type }) => mains.includes(type));
}

function ipamOf(list: Conflist): unknown {
  return (list.plugins[0]?.ipam as { type?: string } | undefined)?.type;
}

function teachOutside(node: Node, address: string): void {
  node.sh(`ip route add ${address} via ${nodeOf(address)}`, { in: "outside" });
}

function outsideOf(address: string): string {
  return address.includes(":") ? "2001:db8:99::2" : "203.0.113.2";
}

function nodeOf(address: string): string {
  return address.includes(":") ? "2001:db8:99::1" : "203.0.113.1";
}
