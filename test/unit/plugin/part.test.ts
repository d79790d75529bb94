/** The recorded requests of plugins: written before any change, removed after the created objects. */
import { beforeEach, describe, expect, test } from "vitest";
import { partNames, readPart } from "../../../src/endpoint/part.ts";
import { FakeChain, type Pod } from "../../lib/fake/chain.ts";
import type { Call, FakeNode } from "../../lib/fake/node.ts";
import { FakeSys } from "../../lib/fake/sys.ts";

const pod: Pod = { name: "c1", pod: "web-0", hostPort: 8080 };
let chain: FakeChain;
let node: FakeNode;

beforeEach(() => {
  chain = new FakeChain([pod]);
  node = chain.node;
});

function names(): readonly string[] {
  return [...partNames(new FakeSys({ machine: node.machine }))].sort();
}

function partOf(type: string) {
  return readPart(new FakeSys({ machine: node.machine }), `net1:c1:eth0:${type}.json`);
}

/** The result of a foreign main plugin is passed to ours. */
const bridged = {
  cniVersion: "1.1.0",
  interfaces: [{ name: "eth0", sandbox: "/var/run/netns/c1" }],
  ips: [{ address: "10.9.0.5/24", interface: 0 }],
};
const port = (hostPort: number) => ({ portMappings: [{ hostPort, containerPort: 80, protocol: "tcp" }] });

function portmap(command: string, runtimeConfig: object, more: Call = {}) {
  return node.run(command, { plugin: "portmap", conf: { snat: false, runtimeConfig, prevResult: bridged }, ...more });
}

test("ADD writes each plugin's part: its request, and where it ran, without prevResult", () => {
  chain.add(pod);
  expect(names()).toEqual(["bandwidth", "calico", "portmap"].map((type) => `net1:c1:eth0:${type}.json`));
  expect(partOf("portmap")).toEqual({
    type: "portmap",
    attachment: { network: "net1", containerId: "c1", ifname: "eth0" },
    netns: "/var/run/netns/c1",
    origin: { mount: 4_026_531_841, net: 4_026_531_840 },
    args: "K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0",
    document: expect.objectContaining({
      type: "portmap",
      runtimeConfig: { portMappings: expect.arrayContaining([{ hostPort: 8080, containerPort: 80, protocol: "tcp" }]) },
    }),
  });
  expect(partOf("portmap")?.document).not.toHaveProperty("prevResult");
  chain.del(pod);
  expect(names()).toEqual([]);
});

test("writePart() makes files that only root can read", () => {
  chain.add(pod);
  expect(node.machine.files.stat("/run/tortie/parts")?.mode).toBe(0o700);
  for (const name of names()) expect(node.machine.files.stat(`/run/tortie/parts/${name}`)?.mode).toBe(0o600);
});

test("ADD of a plugin with nothing to do writes no part", () => {
  node.run("ADD");
  expect(portmap("ADD", {}).status).toBe(0);
  expect(node.run("ADD", { plugin: "bandwidth", conf: { prevResult: bridged } }).status).toBe(0);
  expect(names()).toEqual(["net1:c1:eth0:calico.json"]);
});

test("calico-ipam has a part of its own only where another main plugin asks it", () => {
  expect(node.run("ADD", { plugin: "calico-ipam" }).status).toBe(0);
  expect(names()).toEqual(["net1:c1:eth0:calico-ipam.json"]);
  expect(node.run("DEL", { plugin: "calico-ipam" }).status).toBe(0);
  expect(names()).toEqual([]);
});

describe("ADD, repeated: parts", () => {
  beforeEach(() => {
    node.sandbox("c1");
    expect(portmap("ADD", port(8080)).status).toBe(0);
  });

  test("as it was writes nothing", () => {
    const { steps } = portmap("ADD", port(8080));
    expect(
      [...new Set(steps.filter(({ object }) => object.includes("/parts/")).map(({ call }) => call))].sort(),
    ).toEqual(["readFile", "stat"]);
    expect(names()).toHaveLength(1);
  });

  test("with other ports replaces the part", () => {
    portmap("ADD", port(9090));
    expect(partOf("portmap")?.document.runtimeConfig).toEqual(port(9090));
  });

  test("without ports removes it with them", () => {
    portmap("ADD", {});
    expect(names()).toEqual([]);
  });

  test("and fails leaves what was there", () => {
    const { steps } = portmap("ADD", port(9090));
    portmap("ADD", port(8080));
    // Without its result, an ADD has failed for the runtime.
    const step = steps.findIndex(({ call, object }) => call === "write" && object === "stdout") + 1;
    expect(portmap("ADD", port(9090), { faults: [{ step, errno: "EIO" }] }).status).toBe(1);
    expect(partOf("portmap")?.document.runtimeConfig).toEqual(port(8080));
  });
});

test("ADD that fails leaves no part", () => {
  node.sandbox("c1");
  const conf = {
    snat: false,
    runtimeConfig: port(8080),
    prevResult: { ...bridged, interfaces: [], ips: [{ address: "10.9.0.5/24" }] },
  };
  const { steps } = node.run("ADD", { plugin: "portmap", conf });
  node.run("DEL", { plugin: "portmap" });
  const failing = node.run("ADD", { plugin: "portmap", conf, faults: [{ step: steps.length - 2, errno: "EIO" }] });
  expect(failing.status).toBe(1);
  expect(names()).toEqual([]);
});

test("GC removes the stale parts of its plugin and network, and no others", () => {
  node.sandbox("c1");
  for (const container of ["c1", "c2"]) {
    node.sandbox(container);
    const ip = `10.9.0.${container.slice(1)}/24`;
    const prevResult = { ...bridged, interfaces: [], ips: [{ address: ip }] };
    const runtimeConfig = port(8000 + Number(container.slice(1)));
    node.run("ADD", { plugin: "portmap", container, conf: { snat: false, runtimeConfig, prevResult } });
    node.run("ADD", { plugin: "calico-ipam", container });
  }
  const valid = { "cni.dev/valid-attachments": [{ containerID: "c2", ifname: "eth0" }] };
  node.run("GC", { plugin: "portmap", conf: { name: "net2", "cni.dev/valid-attachments": [] } });
  expect(names()).toHaveLength(4);
  node.run("GC", { plugin: "portmap", conf: valid });
  expect(names()).toEqual([
    "net1:c1:eth0:calico-ipam.json",
    "net1:c2:eth0:calico-ipam.json",
    "net1:c2:eth0:portmap.json",
  ]);
});

test("GC reads the network of a part whose name is a digest", () => {
  const container = "c".repeat(240);
  node.sandbox("c1");
  expect(portmap("ADD", port(8080), { container, sandbox: "c1" }).status).toBe(0);
  expect(names()).toEqual([expect.stringMatching(/^~[0-9a-f]{64}:portmap\.json$/)]);
  node.run("GC", { plugin: "portmap", conf: { name: "net2", "cni.dev/valid-attachments": [] } });
  expect(names()).toHaveLength(1);
  node.run("GC", { plugin: "portmap", conf: { "cni.dev/valid-attachments": [] } });
  expect(names()).toEqual([]);
});
