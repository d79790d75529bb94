/** Two nodes' agents on one real etcd: addresses for many pods at once, with kills and an unavailable datastore. */
import { statSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Reply } from "../../src/node-protocol/messages.ts";
import { Agent } from "../lib/cluster/agent.ts";
import { Etcd, etcdIsMissing } from "../lib/cluster/etcd.ts";
import { Node } from "../lib/node/netns.ts";

const names = ["node-a", "node-b"] as const;
const blocks = "/calico/ipam/v2/assignment/";

describe.skipIf(etcdIsMissing !== undefined)(`addresses${etcdIsMissing ? `: ${etcdIsMissing}` : ""}`, () => {
  let etcd: Etcd;
  let nodes: readonly Node[];
  let agents: Agent[];

  beforeAll(async () => {
    etcd = await Etcd.start();
    nodes = await Promise.all(names.map((name) => Node.start(name)));
  });
  beforeEach(async () => {
    await etcd.clear();
    agents = await Promise.all(names.map((_, index) => begin(index)));
    return async () => {
      await Promise.all(agents.map((agent) => agent.stop()));
    };
  });
  afterAll(async () => {
    await Promise.all((nodes ?? []).map((node) => node.stop()));
    await etcd?.stop();
  });

  function begin(index: number): Promise<Agent> {
    return Agent.start(nodes[index] as Node, {
      ...{ ETCD_ENDPOINTS: etcd.endpoint, NODENAME: names[index] ?? "", IP: `203.0.113.${index + 1}/24` },
      ...{ CALICO_IPV4POOL_CIDR: "10.244.0.0/16", FELIX_IPV6SUPPORT: "false", WAIT_FOR_DATASTORE: "true" },
    });
  }

  const podOf = (index: number, id: number) => ({
    nodename: names[index] ?? "",
    attachment: { network: "net", containerID: `c${index}-${id}`, ifname: "eth0" },
    pod: { namespace: "ns", name: `p${index}-${id}` },
  });

  function assign(index: number, id: number): Promise<Reply> {
    const wanted = [{ family: 4, pools: [] }] as const;
    return (agents[index] as Agent).ask({ op: "assign", ...podOf(index, id), wanted, addresses: [], reserved: [] });
  }

  function release(index: number, id: number): Promise<Reply> {
    return (agents[index] as Agent).ask({ op: "release", ...podOf(index, id) });
  }

  const everyPod = names.flatMap((_, index) => Array.from({ length: 100 }, (_, id) => [index, id] as const));

  function addressesIn(replies: readonly Reply[]): readonly string[] {
    return replies.flatMap((reply) => {
      if ("error" in reply) throw new Error(reply.error.message);
      return (reply.result.addresses ?? []).map(({ address }) => address);
    });
  }

  /** The content of the blocks. */
  async function allocated(): Promise<number> {
    const values = Object.values(await etcd.dump(blocks));
    return values
      .flatMap((value) => (JSON.parse(value) as { readonly allocations: readonly (number | null)[] }).allocations)
      .filter((index) => index !== null).length;
  }

  test("200 pods at once on two nodes get an address each, and give it back", async () => {
    const replies = await Promise.all(everyPod.map(([index, id]) => assign(index, id)));
    expect(new Set(addressesIn(replies)).size).toBe(200);
    expect(await allocated()).toBe(200);
    const owners = Object.values(await etcd.dump(blocks)).map(
      (value) => (JSON.parse(value) as { readonly affinity: string }).affinity,
    );
    expect(owners.sort()).toEqual(["host:node-a", "host:node-a", "host:node-b", "host:node-b"]);
    expect(addressesIn(await Promise.all(everyPod.map(([index, id]) => release(index, id))))).toHaveLength(200);
    expect(await allocated()).toBe(0);
    expect(await etcd.dump("/calico/ipam/v2/handle/")).toEqual({});
  });

  test("an agent that is killed in the midst loses no address, and gives none twice", async () => {
    const before = Promise.allSettled(everyPod.map(([index, id]) => assign(index, id)));
    await sleep(60);
    await agents[0]?.kill();
    await before;
    agents[0] = await begin(0);
    const again = await Promise.all(everyPod.map(([index, id]) => assign(index, id)));
    expect(new Set(addressesIn(again)).size).toBe(200);
    expect(await allocated()).toBe(200);
    await Promise.all(everyPod.map(([index, id]) => release(index, id)));
    expect(await allocated()).toBe(0);
    expect(await etcd.dump("/calico/ipam/v2/handle/")).toEqual({});
  });

  test("while the datastore is away it says so in time, and goes on when it is back", async () => {
    await etcd.kill();
    const start = performance.now();
    expect(await assign(0, 1)).toMatchObject({ error: { kind: "timeout" } });
    expect(performance.now() - start).toBeLessThan(6000);
    await etcd.begin();
    expect(addressesIn([await assign(0, 1)])).toHaveLength(1);
  });

  test("it ends when what is being answered is answered", async () => {
    etcd.signal("SIGSTOP");
    const asked = Promise.all(everyPod.slice(0, 20).map(([index, id]) => assign(index, id)));
    await sleep(500);
    agents[0]?.signal("SIGTERM");
    await agents[0]?.says("ending");
    etcd.signal("SIGCONT");
    expect(new Set(addressesIn(await asked)).size).toBe(20);
    expect(await agents[0]?.ended()).toBe(0);
    agents[0] = await begin(0);
  });

  test("the socket is root's alone, and speaks to whoever can write a line", () => {
    const [node] = nodes;
    expect(statSync(node?.outerPath("/run/tortie/node.sock") ?? "").mode & 0o777).toBe(0o600);
    expect(statSync(node?.outerPath("/run/tortie") ?? "").mode & 0o777).toBe(0o700);
  });
});
