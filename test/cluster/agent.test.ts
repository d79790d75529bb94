/** The node agent on a real etcd: its start, its end, and its behaviour while the datastore is unavailable. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Agent } from "../lib/cluster/agent.ts";
import { Etcd, etcdIsMissing, freePort } from "../lib/cluster/etcd.ts";
import { Node } from "../lib/node/netns.ts";

const resources = "/calico/resources/v3/projectcalico.org";

describe.skipIf(etcdIsMissing !== undefined)(`tortie-node${etcdIsMissing ? `: ${etcdIsMissing}` : ""}`, () => {
  let etcd: Etcd;
  let node: Node;
  let environment: Readonly<Record<string, string>>;

  beforeAll(async () => {
    etcd = await Etcd.start();
    node = await Node.start("node-a");
  });
  beforeEach(async () => {
    await etcd.clear();
    environment = {
      ETCD_ENDPOINTS: etcd.endpoint,
      NODENAME: "node-a",
      IP: "203.0.113.1/24",
      FELIX_IPV6SUPPORT: "false",
    };
  });
  afterAll(async () => {
    await node?.stop();
    await etcd?.stop();
  });

  test("starts as Calico's node does: Node, pool, nodename file", async () => {
    const agent = await Agent.start(node, {
      ...environment,
      CALICO_IPV4POOL_CIDR: "10.244.0.0/16",
      CLUSTER_TYPE: "test",
    });
    const keys = await etcd.dump(resources);
    expect(Object.keys(keys)).toEqual([
      `${resources}/clusterinformations/default`,
      `${resources}/ippools/default-ipv4-ippool`,
      `${resources}/nodes/node-a`,
    ]);
    const [cluster, pool, own] = Object.values(keys).map(
      (value) => JSON.parse(value) as Readonly<Record<string, unknown>>,
    );
    expect(cluster).toMatchObject({ kind: "ClusterInformation", spec: { clusterType: "test", datastoreReady: true } });
    expect(pool).toMatchObject({ kind: "IPPool", spec: { cidr: "10.244.0.0/16", blockSize: 26, natOutgoing: true } });
    expect(own).toMatchObject({ kind: "Node", spec: { bgp: { ipv4Address: "203.0.113.1/24" } }, status: {} });
    expect(readFileSync(node.outerPath("/var/lib/calico/nodename"), "utf8")).toBe("node-a");
    expect(await agent.stop()).toBe(0);
  });

  test("a second one on the node does not start, and one after a killed one does", async () => {
    const first = await Agent.start(node, environment);
    const second = new Agent(node, environment);
    expect(await second.ended()).toBe(1);
    expect(second.stderr).toBe(
      'tortie-node: cannot start: another tortie-node holds "/run/tortie/node.sock.lock"; stop it first\n',
    );
    await first.kill();
    const third = await Agent.start(node, environment);
    expect(await third.stop()).toBe(0);
  });

  test("waits for the datastore, and says so where it is asked", async () => {
    const port = await freePort();
    await etcd.kill();
    const health = { FELIX_HEALTHENABLED: "true", FELIX_HEALTHHOST: "127.0.0.1", FELIX_HEALTHPORT: String(port) };
    const impatient = new Agent(node, environment);
    expect(await impatient.ended()).toBe(1);
    expect(impatient.stderr).toMatch(/^tortie-node: cannot read ClusterInformation "default": /);

    const agent = new Agent(node, { ...environment, ...health, WAIT_FOR_DATASTORE: "true" });
    await agent.says("datastore not reached; waiting");
    expect((await fetch(`http://127.0.0.1:${port}/liveness`)).status).toBe(200);
    const before = await fetch(`http://127.0.0.1:${port}/readiness`);
    expect([before.status, await before.text()]).toEqual([503, "start: the node's start is not done\n"]);
    await etcd.begin();
    await agent.says("ready");
    expect((await fetch(`http://127.0.0.1:${port}/readiness`)).status).toBe(200);

    await etcd.kill();
    await agent.says("datastore is away");
    expect((await fetch(`http://127.0.0.1:${port}/readiness`)).status).toBe(503);
    await etcd.begin();
    await agent.says("datastore is back");
    expect((await fetch(`http://127.0.0.1:${port}/readiness`)).status).toBe(200);
    expect(await agent.stop()).toBe(0);
  });

  test("ends while it waits", async () => {
    await etcd.kill();
    const agent = new Agent(node, { ...environment, WAIT_FOR_DATASTORE: "true" });
    await agent.says("datastore not reached; waiting");
    expect(await agent.stop()).toBe(0);
    await etcd.begin();
  });

  test("what is wrong with its settings is told before anything is done", async () => {
    const agent = new Agent(node, { ...environment, IP: "nonsense", FELIX_BPFENABLED: "true" });
    expect(await agent.ended()).toBe(2);
    expect(agent.stderr.split("\n")).toEqual([
      expect.stringMatching(/^tortie-node: cannot honour FELIX_BPFENABLED="true": /),
      'tortie-node: cannot use IP="nonsense": want autodetect, none, or an IPv4 address',
      "",
    ]);
    expect(await etcd.dump()).toEqual({});
  });
});
