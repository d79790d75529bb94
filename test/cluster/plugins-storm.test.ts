/**
 * Two nodes of one cluster, each with its agent and its plugins as processes: 16 containers at a time come and go, while plugins, agents and the
 * datastore are killed, frozen and cut off, and runtimes forget sandboxes.
 *
 * **After each write every block is valid, and no address is given twice. What was deleted leaves nothing, and what was forgotten is found after the
 * grace period**: no allocation, no handle, no endpoint, no file in a spool, no interface.
 *
 * TORTIE_STORM_OPERATIONS sets the scale; kills are in proportion. `npm run crash` runs 5,000 with 200 kills, 20 of the datastore.
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { BlockSpec } from "../../src/ipam/model/block.ts";
import { blockFault } from "../../src/ipam/model/block-fault.ts";
import type { AsyncDatastore } from "../../src/store/async-datastore.ts";
import { openClusterDatastore } from "../../src/store/cluster/open.ts";
import { readSettings } from "../../src/store/cluster/settings.ts";
import { DamagedError } from "../../src/store/damage.ts";
import type { StoredObject } from "../../src/store/object.ts";
import { driveAsync, list } from "../../src/store/transaction.ts";
import { Agent } from "../lib/cluster/agent.ts";
import { buildTimeoutMs } from "../lib/cluster/kubernetes-build.ts";
import { Relay } from "../lib/cluster/relay.ts";
import { type ClusterSite, clusterSites } from "../lib/cluster/site.ts";
import { isMany } from "../lib/how-many.ts";
import { type Completed, Node } from "../lib/node/netns.ts";
import { randomOf, seed } from "../lib/random.ts";
import { ourPluginDir } from "../lib/suite.ts";

const names = ["node-a", "node-b"] as const;
const sandboxes = 8;
const isFull = process.env.TORTIE_CRASH === "full";
const operations = Number(process.env.TORTIE_STORM_OPERATIONS ?? (isFull ? 5000 : isMany ? 800 : 300));
const trouble = { kills: Math.ceil(operations / 25), restarts: Math.ceil(operations / 250) };
const graceSeconds = 8;
const timeoutMs = isFull ? 3_600_000 : 600_000;

interface Place {
  readonly node: number;
  readonly sandbox: number;
  readonly container: string;
  /** Of its pod; unknown if the answer to its creation was lost. */
  readonly uid?: string | undefined;
}

describe.each(clusterSites)("a storm over two nodes on %s", (name, whyNot, open) => {
  describe.skipIf(whyNot !== undefined)(whyNot ?? name, () => {
    const random = randomOf(seed);
    const counted = {
      operations: 0,
      added: 0,
      pluginKills: 0,
      agentKills: 0,
      restarts: 0,
      frozen: 0,
      partitions: 0,
      forgotten: 0,
    };
    let site: ClusterSite;
    let datastore: AsyncDatastore;
    let nodes: readonly Node[];
    let relays: readonly Relay[];
    let agents: Agent[];
    let writes: BlockWrites;

    beforeAll(async () => {
      site = await open();
      datastore = await openClusterDatastore(readSettings(site.environment));
      writes = new BlockWrites(datastore);
      nodes = await Promise.all(names.map((node) => Node.start(node)));
      for (const node of nodes) for (let at = 0; at < sandboxes; at++) node.addPod(`s${at}`);
      for (const node of names) await site.addNode(node);
      relays = await Promise.all(names.map(() => Relay.start(site.port)));
      agents = await Promise.all(names.map((_, index) => begin(index)));
    }, buildTimeoutMs);
    afterAll(async () => {
      await Promise.all((agents ?? []).map((agent) => agent.stop()));
      await Promise.all((nodes ?? []).map((node) => node.stop()));
      for (const relay of relays ?? []) relay.stop();
      datastore?.close();
      await site?.stop();
    });

    function begin(index: number): Promise<Agent> {
      return Agent.start(nodes[index] as Node, {
        ...site.environmentAt(relays[index]?.port ?? 0),
        ...{ NODENAME: names[index] ?? "", IP: `203.0.113.${index + 1}/24`, FELIX_IPV6SUPPORT: "false" },
        ...{ CALICO_IPV4POOL_CIDR: "10.244.0.0/24", CALICO_IPV4POOL_BLOCK_SIZE: "29" },
        ...{ WAIT_FOR_DATASTORE: "true", DISABLE_NODE_IP_CHECK: "true" },
        TORTIE_LEAK_GRACE_PERIOD: String(graceSeconds),
      });
    }

    /** How the runtime treats the plugin's process. */
    type Fate = "whole" | "killed" | "frozen";

    function call(command: "ADD" | "DEL", at: Place, fate: Fate): Promise<Completed> {
      const program = join(ourPluginDir, "calico");
      counted.operations++;
      if (fate === "killed") counted.pluginKills++;
      if (fate === "frozen") counted.frozen++;
      const soon = (most: number) => (0.002 + most * random.next()).toFixed(3);
      const pause = `p=$!; sleep ${soon(0.03)}; kill -STOP $p; sleep ${soon(3)}; kill -CONT $p; wait $p`;
      const argv = {
        whole: [program],
        killed: ["/usr/bin/timeout", "-s", "KILL", soon(0.03), program],
        // A shell gives its background processes no input of their own.
        frozen: ["/bin/sh", "-c", `exec 3<&0; "$0" <&3 & ${pause}`, program],
      }[fate];
      const conf = { name: "net", cniVersion: "1.0.0", type: "calico", ...site.netConf, ipam: { type: "calico-ipam" } };
      return (nodes[at.node] as Node).runBeside(argv, {
        stdin: JSON.stringify(conf),
        env: {
          ...{ CNI_COMMAND: command, CNI_CONTAINERID: at.container, CNI_IFNAME: "eth0", CNI_PATH: ourPluginDir },
          ...{ CNI_NETNS: `/run/netns/s${at.sandbox}` },
          CNI_ARGS: `K8S_POD_NAMESPACE=default;K8S_POD_NAME=${at.container};K8S_POD_UID=${at.uid ?? ""}`,
        },
      });
    }

    /** A runtime and the API server try until they succeed. */
    async function insist<T>(body: () => Promise<T>): Promise<T> {
      for (let tries = 0; ; tries++) {
        try {
          return await body();
        } catch (error) {
          if (tries === 200) throw error;
          await sleep(200);
        }
      }
    }

    /** A sandbox's containers, one after another. Adds what it holds to `alive`. */
    async function live(node: number, sandbox: number, alive: Map<string, string>): Promise<void> {
      for (let round = 0; counted.operations < operations; round++) {
        const container = `c${node}-${sandbox}-${round}`;
        const at = { node, sandbox, container, uid: await insist(() => site.addPod(container, names[node] ?? "")) };
        const fate = random.chance(0.06) ? "killed" : random.chance(0.03) ? "frozen" : "whole";
        const { status, stdout } = await call("ADD", at, fate);
        if (status === 0) counted.added++;
        if (status === 0) hold(alive, at.container, addressIn(stdout));
        if (status === 0 && random.chance(0.3)) await sleep(100 * random.next());
        if (status === 0 && counted.operations >= operations) return;
        // A runtime waits before it tries again.
        if (status !== 0) await sleep(500 * random.next());
        alive.delete(at.container);
        if (random.chance(0.03)) await forget(at);
        else {
          if (random.chance(0.06)) await call("DEL", at, "killed");
          const removed = await call("DEL", at, random.chance(0.03) ? "frozen" : "whole");
          expect(`${removed.status} ${removed.stdout}`).toBe("0 ");
        }
        await insist(() => site.removePod(at.container));
      }
    }

    /** The machine of the sandbox has rebooted: everything of it is gone but what the datastore has. */
    async function forget({ node, sandbox, container }: Place): Promise<void> {
      counted.forgotten++;
      const files = `/run/tortie/endpoints/net:${container}:* /run/tortie/parts/net:${container}:*`;
      const spooled = `/var/lib/tortie/spool/net:${container}:*`;
      const script = `ip -n s${sandbox} link del eth0 2>/dev/null || true; rm -f ${files} ${spooled}`;
      const { status } = await (nodes[node] as Node).runBeside(["/bin/sh", "-c", script], {});
      expect(status).toBe(0);
    }

    function hold(alive: Map<string, string>, container: string, address: string): void {
      for (const [other, held] of alive)
        expect(`${address} of ${held === address ? other : "nobody"}`).toBe(`${address} of nobody`);
      alive.set(container, address);
    }

    /** Kills, freezes and cuts off until it is over; the plugins' own fates are `live`'s. */
    async function rage(isOver: () => boolean): Promise<void> {
      while (!isOver()) {
        const due = counted.operations / operations;
        await sleep(100 + 400 * random.next());
        const victim = random.below(names.length);
        if (counted.restarts < due * trouble.restarts) {
          counted.restarts++;
          await site.restart();
        } else if (counted.agentKills + counted.pluginKills < due * trouble.kills || random.chance(0.1)) {
          counted.agentKills++;
          await agents[victim]?.kill();
          await insist(async () => {
            agents[victim] = await begin(victim);
          });
        } else if (random.chance(0.3)) await pauseSomebody(victim);
      }
    }

    async function pauseSomebody(victim: number): Promise<void> {
      const choice = random.below(3);
      const relay = relays[victim];
      if (choice === 0 && relay !== undefined) {
        counted.partitions++;
        relay.swallows = true;
        await sleep(3000 * random.next());
        relay.swallows = false;
        relay.cut();
        return;
      }
      counted.frozen++;
      const frozen = choice === 1 ? agents[victim] : site;
      frozen?.signal("SIGSTOP");
      await sleep(2000 * random.next());
      frozen?.signal("SIGCONT");
    }

    async function allocations(): Promise<readonly string[]> {
      const blocks = (await driveAsync(list("IPAMBlock"), datastore.store)) as readonly StoredObject<BlockSpec>[];
      return blocks.flatMap(({ spec: { allocations: all, attributes } }) =>
        all.flatMap((index) =>
          index === null ? [] : [String((attributes[index] as { readonly handle_id?: string }).handle_id)],
        ),
      );
    }

    const spooled = () =>
      nodes.flatMap((node) => {
        const directory = node.outerPath("/var/lib/tortie/spool");
        return existsSync(directory) ? readdirSync(directory) : [];
      });

    const leftIn = async (kind: "IPAMHandle" | "WorkloadEndpoint") =>
      (await driveAsync(list(kind), datastore.store)).map(({ metadata }) => metadata.name);

    test(
      `${operations} operations leave nothing behind, and give nothing twice (seed ${seed})`,
      async () => {
        const alive = new Map<string, string>();
        const start = performance.now();
        let isOver = false;
        const raging = rage(() => isOver);
        raging.catch(() => undefined);
        const lives = names.flatMap((_, node) =>
          Array.from({ length: sandboxes }, (_, sandbox) => live(node, sandbox, alive)),
        );
        await Promise.all(lives).finally(() => {
          isOver = true;
        });
        await raging;
        const seconds = ((performance.now() - start) / 1000).toFixed(0);
        console.log(`${name}: ${JSON.stringify({ ...counted, blockWrites: writes.count, seconds })}`);
        await expect.poll(spooled, { timeout: 60_000 }).toEqual([]);
        const living = [...alive.keys()].map((container) => `net.${container}`).sort();
        const settled = { timeout: 1000 * (6 * graceSeconds + 60), interval: 1000 };
        await expect.poll(async () => [...(await allocations())].sort(), settled).toEqual(living);
        await expect.poll(async () => [...(await leftIn("IPAMHandle"))].sort(), settled).toEqual(living);
        for (const container of alive.keys()) {
          const [node = "", sandbox = ""] = container.slice(1).split("-");
          const place = { node: Number(node), sandbox: Number(sandbox), container };
          expect((await call("DEL", place, "whole")).status).toBe(0);
          await site.removePod(container);
        }
        await expect.poll(spooled, { timeout: 60_000 }).toEqual([]);
        expect(await allocations()).toEqual([]);
        expect(await leftIn("IPAMHandle")).toEqual([]);
        if (name === "etcd") expect(await leftIn("WorkloadEndpoint")).toEqual([]);
        expect(writes.faults).toEqual([]);
        for (const node of nodes) {
          expect(node.sh("ip -o link | grep ': cali' || true").trim()).toBe("");
          expect(node.sh("ls /run/tortie/endpoints 2>/dev/null || true").trim()).toBe("");
        }
      },
      timeoutMs,
    );
  });
});

/** Judges each block as it is after each write, as the datastore's watch tells of it. */
class BlockWrites {
  count = 0;
  readonly faults: string[] = [];
  readonly #numbers = new Map<string, bigint>();

  constructor(datastore: AsyncDatastore) {
    datastore.follow("IPAMBlock", {
      all: (blocks) => {
        for (const block of blocks) this.#judge(block);
      },
      set: (block) => this.#judge(block),
      gone: (key) => void ("cidr" in key && this.#numbers.delete(key.cidr)),
      trouble: (error) => void (error instanceof DamagedError && this.faults.push(error.message)),
    });
  }

  #judge({ spec }: StoredObject): void {
    const block = spec as BlockSpec;
    const fault = blockFault(block);
    if (fault !== undefined) this.faults.push(`${block.cidr}: ${fault}`);
    const number = BigInt(block.sequenceNumber);
    const before = this.#numbers.get(block.cidr) ?? -1n;
    if (number < before) this.faults.push(`${block.cidr}: sequence number ${number} after ${before}`);
    this.#numbers.set(block.cidr, number);
    this.count++;
  }
}

function addressIn(stdout: string): string {
  const { ips } = JSON.parse(stdout) as { readonly ips: readonly { readonly address: string }[] };
  return ips[0]?.address ?? "";
}
