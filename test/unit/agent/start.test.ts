import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { NodeInterface } from "../../../src/agent/address/choose.ts";
import { readAgentSettings } from "../../../src/agent/settings/read.ts";
import { keepNode } from "../../../src/agent/start/node-object.ts";
import { determineNodename, writeNodename } from "../../../src/agent/start/nodename.ts";
import { type StartContext, startNode, waitForDatastore } from "../../../src/agent/start/start-node.ts";
import { nodeSys } from "../../../src/host/node/node.ts";
import type { StoredObject } from "../../../src/store/object.ts";
import { type MemoryDatastore, memoryDatastore } from "./memory-datastore.ts";

const etcd = { ETCD_ENDPOINTS: "http://127.0.0.1:2379", FELIX_IPV6SUPPORT: "false" };
const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined };

interface World {
  readonly datastore: MemoryDatastore;
  readonly interfaces?: readonly NodeInterface[];
}

function ground({ datastore, interfaces = [{ name: "eth0", addresses: ["192.0.2.10/24"] }] }: World): StartContext {
  const addresses = interfaces.flatMap((one) => one.addresses.map((address) => ({ link: one.name, address })));
  return {
    datastore,
    facts: { interfaces: () => interfaces, sourceTo: async () => undefined },
    around: {
      random: () => Uint8Array.of(1, 2, 3, 4, 5),
      networks: () => ({ addresses, gateways: [], resolvers: [] }),
      routes: () => [],
    },
    log: quiet,
  };
}

async function start(world: World, environment: object = {}): Promise<void> {
  await startNode("n1", readAgentSettings({ ...etcd, ...environment }).settings, ground(world));
}

const one = ({ memory }: MemoryDatastore, kind: "Node" | "IPPool", name: string): StoredObject | undefined =>
  memory.all(kind).find(({ metadata }) => metadata.name === name);

describe("startNode()", () => {
  test("records the Node with its address, and makes the pool of a family that has none", async () => {
    const datastore = memoryDatastore();
    await start({ datastore });
    expect(one(datastore, "Node", "n1")?.spec).toEqual({ bgp: { ipv4Address: "192.0.2.10/24" } });
    expect(datastore.memory.all("IPPool").map(({ metadata, spec }) => [metadata.name, spec])).toEqual([
      ["default-ipv4-ippool", expect.objectContaining({ cidr: "192.168.0.0/16", blockSize: 26, natOutgoing: true })],
    ]);
  });

  test("records the AS number of AS, and leaves the Node's own without it", async () => {
    const datastore = memoryDatastore();
    await start({ datastore }, { AS: "1.10" });
    const bgp = { ipv4Address: "192.0.2.10/24", asNumber: 65_546 };
    expect(one(datastore, "Node", "n1")?.spec).toEqual({ bgp });
    await start({ datastore });
    expect(one(datastore, "Node", "n1")?.spec).toEqual({ bgp });
    await start({ datastore }, { AS: "64999" });
    expect(one(datastore, "Node", "n1")?.spec).toEqual({ bgp: { ...bgp, asNumber: 64_999 } });
  });

  test("makes ClusterInformation, adds the cluster's type to one that is there, and leaves the rest of it alone", async () => {
    const datastore = memoryDatastore();
    await start({ datastore }, { CLUSTER_TYPE: "k8s,bgp" });
    const spec = { clusterGUID: expect.stringMatching(/^[0-9a-f]{32}$/), clusterType: "k8s,bgp", datastoreReady: true };
    expect(datastore.memory.all("ClusterInformation").map((one) => one.spec)).toEqual([spec]);
    datastore.memory.objects.clear();
    const other = { clusterGUID: "x", clusterType: "typha,k8s", calicoVersion: "v3.33.0", datastoreReady: false };
    datastore.memory.put("ClusterInformation", "default", other);
    await start({ datastore }, { CLUSTER_TYPE: "k8s,bgp" });
    expect(datastore.memory.all("ClusterInformation").map((one) => one.spec)).toEqual([
      { ...other, clusterType: "typha,k8s,bgp" },
    ]);
  });

  test("done again it writes nothing", async () => {
    const datastore = memoryDatastore();
    await start({ datastore });
    datastore.memory.beforeWrite = () => expect.unreachable();
    await start({ datastore });
  });

  test("the default pool keeps clear of the node's networks", async () => {
    const datastore = memoryDatastore();
    await start({ datastore, interfaces: [{ name: "eth0", addresses: ["192.168.1.10/24"] }] });
    expect(one(datastore, "IPPool", "default-ipv4-ippool")?.spec).toMatchObject({ cidr: "172.16.0.0/16" });
  });

  test("creates no pool if the family has one, or if none is wanted", async () => {
    const datastore = memoryDatastore();
    await start({ datastore }, { NO_DEFAULT_POOLS: "true" });
    expect(datastore.memory.all("IPPool")).toEqual([]);
    datastore.memory.put("IPPool", "mine", { cidr: "10.9.0.0/16" });
    await start({ datastore }, { FELIX_IPV6SUPPORT: "true" });
    expect(datastore.memory.all("IPPool").map(({ metadata }) => metadata.name)).toEqual([
      "mine",
      "default-ipv6-ippool",
    ]);
    expect(one(datastore, "IPPool", "default-ipv6-ippool")?.spec).toMatchObject({ cidr: "fd01:203:405::/48" });
  });

  test("keeps the Node's other fields, and an address without a setting", async () => {
    const datastore = memoryDatastore();
    const spec = { bgp: { ipv4Address: "198.51.100.7/24", asNumber: 64512 }, vxlanTunnelMACAddr: "66:00:00:00:00:01" };
    datastore.memory.put("Node", "n1", spec);
    await start({ datastore });
    expect(one(datastore, "Node", "n1")?.spec).toEqual(spec);
    await start({ datastore }, { IP: "autodetect" });
    expect(one(datastore, "Node", "n1")?.spec).toEqual({ ...spec, bgp: { ...spec.bgp, ipv4Address: "192.0.2.10/24" } });
  });

  test("an address of the node is found by Kubernetes' word for it", async () => {
    const datastore = memoryDatastore();
    datastore.memory.put("Node", "n1", { addresses: [{ type: "InternalIP", address: "192.0.2.10" }] });
    await start({ datastore }, { IP: "autodetect", IP_AUTODETECTION_METHOD: "kubernetes-internal-ip" });
    expect(one(datastore, "Node", "n1")?.spec).toMatchObject({ bgp: { ipv4Address: "192.0.2.10/24" } });
  });

  test("an address that is named gets the length of its network", async () => {
    const datastore = memoryDatastore();
    await start({ datastore }, { IP: "192.0.2.10", IP6: "2001:db8::1/64" });
    expect(one(datastore, "Node", "n1")?.spec).toEqual({
      bgp: { ipv4Address: "192.0.2.10/24", ipv6Address: "2001:db8::1/64" },
    });
  });

  test("an address that cannot be found names what to set", async () => {
    const datastore = memoryDatastore();
    const environment = { IP: "autodetect", IP_AUTODETECTION_METHOD: "cidr=10.0.0.0/8" };
    await expect(start({ datastore }, environment)).rejects.toThrow(/IPv4 address by "cidr".*IP_AUTODETECTION_METHOD/);
    datastore.memory.put("Node", "n1", { bgp: { ipv4Address: "192.0.2.9/24" } });
    await start({ datastore }, environment);
    expect(one(datastore, "Node", "n1")?.spec).toEqual({ bgp: { ipv4Address: "192.0.2.9/24" } });
  });

  test("rejects another Node's address, unless the check is disabled", async () => {
    const datastore = memoryDatastore();
    datastore.memory.put("Node", "n2", { bgp: { ipv4Address: "192.0.2.10/32" } });
    await expect(start({ datastore })).rejects.toThrow('192.0.2.10: it is recorded for node "n2"');
    expect(one(datastore, "Node", "n1")).toBeUndefined();
    await start({ datastore }, { DISABLE_NODE_IP_CHECK: "true" });
    expect(one(datastore, "Node", "n1")).toBeDefined();
  });

  test("where something else makes routes, the Node gets no address, but exists in etcd: a node without one counts as gone", async () => {
    const datastore = memoryDatastore();
    await start({ datastore }, { CALICO_NETWORKING_BACKEND: "none" });
    expect(datastore.memory.all("Node").map(({ spec }) => spec)).toEqual([{}]);
    datastore.memory.objects.clear();
    await start({ datastore }, { CALICO_NETWORKING_BACKEND: "none", DATASTORE_TYPE: "kubernetes" });
    expect(datastore.memory.all("Node")).toEqual([]);
  });

  test("keepNode() records a Node again that was deleted, and changes none", async () => {
    const datastore = memoryDatastore();
    await datastore.transact(() => keepNode("n1", { 4: "192.0.2.10/24" }));
    await datastore.transact(() => keepNode("n1", { 4: "192.0.2.11/24" }));
    expect(one(datastore, "Node", "n1")?.spec).toEqual({ bgp: { ipv4Address: "192.0.2.10/24" } });
  });
});

describe("waitForDatastore()", () => {
  const { signal } = new AbortController();

  test("rejects at once if it must not wait", async () => {
    const datastore = memoryDatastore();
    datastore.isAway = true;
    await expect(waitForDatastore({ datastore, log: quiet }, false, signal)).rejects.toThrow("does not answer");
  });

  test("goes on when the datastore answers", async () => {
    const datastore = memoryDatastore();
    datastore.isAway = true;
    const waiting = waitForDatastore({ datastore, log: quiet }, true, signal);
    datastore.isAway = false;
    await waiting;
  });

  test("ends with the signal", async () => {
    const datastore = memoryDatastore();
    datastore.isAway = true;
    const ending = new AbortController();
    const waiting = waitForDatastore({ datastore, log: quiet }, true, ending.signal);
    ending.abort();
    await expect(waiting).rejects.toThrow();
  });
});

describe("determineNodename()", () => {
  test("is the setting's, the file's, the environment's or the host's, in this order", () => {
    const directory = mkdtempSync(join(tmpdir(), "tortie-agent-"));
    try {
      const nodenameFile = join(directory, "nodename");
      const sys = { ...nodeSys, environment: () => ({ HOSTNAME: "Of-Environment" }), hostname: () => "Of-Host" };
      expect(determineNodename({ nodename: undefined, nodenameFile }, { ...sys, environment: () => ({}) })).toBe(
        "of-host",
      );
      expect(determineNodename({ nodename: undefined, nodenameFile }, sys)).toBe("of-environment");
      writeFileSync(nodenameFile, "of-file\n");
      expect(determineNodename({ nodename: undefined, nodenameFile }, sys)).toBe("of-file");
      expect(determineNodename({ nodename: "of-setting", nodenameFile }, sys)).toBe("of-setting");
      writeFileSync(nodenameFile, "no name");
      expect(() => determineNodename({ nodename: undefined, nodenameFile }, sys)).toThrow('"no name" cannot be one');
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test("is written as Calico writes it, into a directory that is made for it", () => {
    const directory = mkdtempSync(join(tmpdir(), "tortie-agent-"));
    try {
      const file = join(directory, "calico/nodename");
      writeNodename(file, "n1", nodeSys);
      expect(readFileSync(file, "utf8")).toBe("n1");
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
