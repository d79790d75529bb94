/** `tortie node status`, with a stand-in for the agent. */
import { describe, expect, test } from "vitest";
import { defaultSocket, type NodeStatusMessage } from "../../../src/node-protocol/messages.ts";
import { World } from "./world.ts";

const ready: NodeStatusMessage = { nodename: "mac-k8s", datastore: "etcdv3", notReady: [], networking: "vxlan" };
const session = { type: "node-to-node mesh", state: "up", since: "01:02:09.001", info: "Established" } as const;

function worldWith(node: NodeStatusMessage | undefined): World {
  const world = new World();
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
        'tortie-node of node "mac-k8s" is ready. Its datastore is etcd.\nThe agent makes the routes to other nodes.\n',
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
