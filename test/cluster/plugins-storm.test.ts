/**
 * Two nodes of one etcd, each with its agent and its plugins as processes: containers come and go, while plugins, agents and etcd are killed.
 *
 * **No address is given twice, and what was deleted leaves nothing**: no allocation, no handle, no endpoint, no file in a spool, no interface.
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Agent } from "../lib/cluster/agent.ts";
import { Etcd, etcdIsMissing } from "../lib/cluster/etcd.ts";
import { howMany } from "../lib/how-many.ts";
import { type Completed, Node } from "../lib/node/netns.ts";
import { randomOf, seed } from "../lib/random.ts";
import { ourPluginDir } from "../lib/suite.ts";

const names = ["node-a", "node-b"] as const;
const sandboxes = 6;
const blocks = "/calico/ipam/v2/assignment/";
const handles = "/calico/ipam/v2/handle/";
const endpoints = "/calico/resources/v3/projectcalico.org/workloadendpoints/";

interface StoredBlock {
  readonly allocations: readonly (number | null)[];
  readonly attributes: readonly { readonly handle_id: string }[];
}

describe.skipIf(etcdIsMissing !== undefined)(`plugins of two nodes${etcdIsMissing ? `: ${etcdIsMissing}` : ""}`, () => {
  const random = randomOf(seed);
  let etcd: Etcd;
  let nodes: readonly Node[];
  let agents: Agent[];

  beforeAll(async () => {
    etcd = await Etcd.start();
    nodes = await Promise.all(names.map((name) => Node.start(name)));
    for (const node of nodes) for (let at = 0; at < sandboxes; at++) node.addPod(`s${at}`);
    agents = await Promise.all(names.map((_, index) => begin(index)));
  });
  afterAll(async () => {
    await Promise.all((agents ?? []).map((agent) => agent.stop()));
    await Promise.all((nodes ?? []).map((node) => node.stop()));
    await etcd?.stop();
  });

  function begin(index: number): Promise<Agent> {
    return Agent.start(nodes[index] as Node, {
      ...{ ETCD_ENDPOINTS: etcd.endpoint, NODENAME: names[index] ?? "", IP: `203.0.113.${index + 1}/24` },
      ...{ CALICO_IPV4POOL_CIDR: "10.244.0.0/24", CALICO_IPV4POOL_BLOCK_SIZE: "29", FELIX_IPV6SUPPORT: "false" },
      ...{ WAIT_FOR_DATASTORE: "true", DISABLE_NODE_IP_CHECK: "true" },
    });
  }

  /** `killedAfter`: in seconds; absent: the plugin runs to its end. */
  function call(command: "ADD" | "DEL", at: Place, killedAfter?: string): Promise<Completed> {
    const conf = {
      name: "net",
      cniVersion: "1.0.0",
      type: "calico",
      datastore_type: "etcdv3",
      ipam: { type: "calico-ipam" },
    };
    const program = join(ourPluginDir, "calico");
    const argv = killedAfter === undefined ? [program] : ["/usr/bin/timeout", "-s", "KILL", killedAfter, program];
    return (nodes[at.node] as Node).runBeside(argv, {
      stdin: JSON.stringify(conf),
      env: {
        ...{ CNI_COMMAND: command, CNI_CONTAINERID: at.container, CNI_IFNAME: "eth0", CNI_PATH: ourPluginDir },
        CNI_NETNS: `/run/netns/s${at.sandbox}`,
      },
    });
  }

  interface Place {
    readonly node: number;
    readonly sandbox: number;
    readonly container: string;
  }

  /** A sandbox's containers, one after another, as a runtime would have them. Adds what it holds to `alive`. */
  async function live(node: number, sandbox: number, rounds: number, alive: Map<string, string>): Promise<void> {
    for (let round = 0; round < rounds; round++) {
      const at = { node, sandbox, container: `c${node}-${sandbox}-${round}` };
      const killedAfter = random.chance(0.2) ? (0.002 + 0.03 * random.next()).toFixed(3) : undefined;
      const { status, stdout } = await call("ADD", at, killedAfter);
      if (status === 0) hold(alive, at.container, addressIn(stdout));
      if (status === 0 && random.chance(0.3)) await sleep(100 * random.next());
      if (status === 0 && round === rounds - 1) return;
      alive.delete(at.container);
      if (random.chance(0.2)) await call("DEL", at, (0.002 + 0.02 * random.next()).toFixed(3));
      const removed = await call("DEL", at);
      expect(`${removed.status} ${removed.stdout}`).toBe("0 ");
    }
  }

  function hold(alive: Map<string, string>, container: string, address: string): void {
    for (const [other, held] of alive)
      expect(`${address} of ${held === address ? other : "nobody"}`).toBe(`${address} of nobody`);
    alive.set(container, address);
  }

  async function allocations(): Promise<readonly string[]> {
    const values = Object.values(await etcd.dump(blocks)).map((value) => JSON.parse(value) as StoredBlock);
    return values.flatMap(({ allocations: all, attributes }) =>
      all.flatMap((index) => (index === null ? [] : [String(attributes[index]?.handle_id)])),
    );
  }

  const spooled = () =>
    nodes.flatMap((node) => {
      const directory = node.outerPath("/var/lib/tortie/spool");
      return existsSync(directory) ? readdirSync(directory) : [];
    });

  test(`nothing is given twice or left behind (seed ${seed})`, async () => {
    const alive = new Map<string, string>();
    const rounds = howMany(40);
    let isOver = false;
    const killing = async () => {
      while (!isOver) {
        await sleep(200 + 600 * random.next());
        const victim = random.below(5);
        if (victim === 4) {
          await etcd.kill();
          await etcd.begin();
        } else if (victim < 2) {
          await agents[victim]?.kill();
          agents[victim] = await begin(victim);
        }
      }
    };
    const killed = killing();
    const lives = names.flatMap((_, node) =>
      Array.from({ length: sandboxes }, (_, sandbox) => live(node, sandbox, rounds, alive)),
    );
    await Promise.all(lives).finally(() => {
      isOver = true;
    });
    await killed;
    await expect.poll(spooled, { timeout: 30_000 }).toEqual([]);
    const held = await allocations();
    for (const container of alive.keys()) expect(held).toContain(`net.${container}`);
    for (const container of alive.keys()) {
      const [node = "", sandbox = ""] = container.slice(1).split("-");
      expect((await call("DEL", { node: Number(node), sandbox: Number(sandbox), container })).status).toBe(0);
    }
    await expect.poll(spooled, { timeout: 30_000 }).toEqual([]);
    expect(await allocations()).toEqual([]);
    expect(Object.keys(await etcd.dump(handles))).toEqual([]);
    expect(Object.keys(await etcd.dump(endpoints))).toEqual([]);
    for (const node of nodes) {
      expect(
        node
          .sh("ip -o link")
          .split("\n")
          .filter((line) => line.includes(": cali")),
      ).toEqual([]);
      expect(node.sh("ls /run/tortie/endpoints 2>/dev/null || true").trim()).toBe("");
    }
  });
});

function addressIn(stdout: string): string {
  const { ips } = JSON.parse(stdout) as { readonly ips: readonly { readonly address: string }[] };
  return ips[0]?.address ?? "";
}
