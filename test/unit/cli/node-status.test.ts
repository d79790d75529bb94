/** `tortie node status`, with a stand-in for the agent. */
import { describe, expect, test } from "vitest";
import { defaultSocket, type NodeStatusMessage } from "../../../src/node-protocol/messages.ts";
import { ClusterWorld } from "./cluster-world.ts";
import { World } from "./world.ts";

const ready: NodeStatusMessage = { nodename: "mac-k8s", datastore: "etcdv3", notReady: [], networking: "vxlan" };
const session = { type: "node-to-node mesh", state: "up", since: "01:02:09.001", info: "Established" } as const;

function worldWith<W extends World>(node: NodeStatusMessage | undefined, world: W = new World() as W): W {
  world.machine.servers.set(defaultSocket, (request) => {
    expect(JSON.parse(request)).toMatchObject({ op: "node", nodename: "mac-k8s" });
    return JSON.stringify({ version: 1, result: node === undefined ? {} : { node } });
  });
  return world;
}

describe("tortie node status", () => {
  test("says that a ready agent is ready, and what it does", async () => {
    expect(await worldWith(ready).run("node status")).toEqual({
      status: 0,
      stdout:
        'tortie-node of node "mac-k8s" is ready. Its datastore is etcd.\nThe agent makes the routes to other nodes.\nIt enforces no network policy.\n',
      stderr: "",
    });
  });

  test("prints calicoctl's tables, and exits with 3 if the agent is not ready", async () => {
    const bgp = [{ ...session, peer: "10.192.0.3", family: 4 } as const];
    const reason = "datastore: etcd does not answer";
    const { status, stdout } = await worldWith({ ...ready, networking: "bird", notReady: [reason], bgp }).run(
      "node status",
    );
    expect(status).toBe(3);
    expect(stdout).toBe(`tortie-node of node "mac-k8s" is not ready. Its datastore is etcd.
  datastore: etcd does not answer
The agent and BIRD make the routes to other nodes.
It enforces no network policy.

IPv4 BGP status
+--------------+-------------------+-------+--------------+-------------+
| PEER ADDRESS | PEER TYPE         | STATE | SINCE        | INFO        |
+--------------+-------------------+-------+--------------+-------------+
| 10.192.0.3   | node-to-node mesh | up    | 01:02:09.001 | Established |
+--------------+-------------------+-------+--------------+-------------+

IPv6 BGP status
No IPv6 peers found.
`);
  });

  test("prints everything for programs", async () => {
    const { stdout } = await worldWith(ready).run("node status -o json");
    expect(JSON.parse(stdout)).toEqual(ready);
  });

  test("says that no agent runs, and where to look", async () => {
    const { status, stderr } = await new World().run("node status");
    expect(status).toBe(1);
    expect(stderr).toContain("tortie-node is not running");
    expect(stderr).toContain("systemctl status tortie-node");
  });

  test("says so if the agent does not know the question", async () => {
    expect(await worldWith(undefined).run("node status")).toMatchObject({
      status: 1,
      stderr: expect.stringContaining("older release"),
    });
  });
});

describe("tortie node status, with the settings of a cluster's datastore", () => {
  test("says what the cluster knows of the node", async () => {
    const world = worldWith(ready, new ClusterWorld("etcdv3"));
    world.put("ClusterInformation", "default", { clusterGUID: "g", datastoreReady: false, calicoVersion: "v3.33.0" });
    world.put("Node", "mac-k8s", { bgp: { ipv4Address: "10.1.0.1/24" }, ipv4VXLANTunnelAddr: "10.0.0.0" });
    world.addBlock("mac-k8s", "10.0.0.0/26", []);
    world.addBlock("b", "10.0.0.64/26", []);
    const { status, stdout } = await world.run("node status");
    expect(status).toBe(3);
    expect(stdout).toContain("is ready. Its datastore is etcd.\n");
    expect(
      stdout.split("\n\n").at(-1),
    ).toBe(`Datastore: memory; locked, for datastoreReady is false; cluster g, Calico v3.33.0.
Node "mac-k8s":
  IPv4: 10.1.0.1/24
  IPv4 VXLAN tunnel: 10.0.0.0
  Blocks: 10.0.0.0/26
`);
    const json = JSON.parse((await world.run("node status -o json")).stdout);
    expect(json).toMatchObject({ nodename: "mac-k8s", cluster: { blocks: ["10.0.0.0/26"] } });
  });

  test("without an agent or without an answer of the datastore it says the rest", async () => {
    const world = new ClusterWorld("kubernetes");
    const alone = await world.run("node status");
    expect(alone).toMatchObject({ status: 1, stderr: expect.stringContaining("tortie-node is not running") });
    expect(alone.stdout).toContain('It has no node "mac-k8s".');
    worldWith(ready, world).datastore.isAway = true;
    const { status, stdout } = await world.run("node status");
    expect(status).toBe(3);
    expect(stdout).toMatch(/Datastore: memory: cannot read .*it does not answer\.\n$/);
  });
});
