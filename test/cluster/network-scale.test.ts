/**
 * A thousand nodes with a block each: how long the agent of one of them takes until the kernel holds a way to each, and what one more node costs.
 * It prints the times and asserts none.
 */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { newBlock } from "../../src/ipam/model/block.ts";
import { addressAt } from "../../src/net/prefix.ts";
import { encodeValue } from "../../src/store/etcd/values.ts";
import { Agent } from "../lib/cluster/agent.ts";
import { Etcd, etcdIsMissing } from "../lib/cluster/etcd.ts";
import { Fabric } from "../lib/cluster/fabric.ts";
import { isMany } from "../lib/how-many.ts";
import { ourPluginDir } from "../lib/suite.ts";

const count = isMany ? 1000 : 200;
/** Added one by one. The CPU time of one is too short for the clock ticks that count it. */
const more = 20;
const resources = "/calico/resources/v3/projectcalico.org";

describe.skipIf(etcdIsMissing !== undefined)(`${count} nodes${etcdIsMissing ? `: ${etcdIsMissing}` : ""}`, () => {
  let etcd: Etcd;
  let fabric: Fabric;
  let agent: Agent;

  beforeAll(async () => {
    etcd = await Etcd.start();
    fabric = await Fabric.start([{ name: "node-a", subnet: 1, host: 1 }], Number(new URL(etcd.endpoint).port));
    const vxlan = { blockSize: 26, vxlanMode: "Always" };
    await put("ippools", "IPPool", "others", { ...vxlan, cidr: "192.168.0.0/15", nodeSelector: "!all()" });
    await put("ippools", "IPPool", "own", { ...vxlan, cidr: "10.99.0.0/24" });
    for (let index = 0; index < count; index++) await addNode(index);
  });
  afterAll(async () => {
    await agent?.stop();
    await fabric?.stop();
    await etcd?.stop();
  });

  async function put(plural: string, kind: string, name: string, spec: object): Promise<void> {
    const object = { kind, apiVersion: "projectcalico.org/v3", metadata: { name }, spec };
    await etcd.put(`${resources}/${plural}/${name}`, JSON.stringify(object));
  }

  /** Its block is anywhere in the pool, as blocks of nodes are. */
  async function addNode(index: number): Promise<void> {
    const name = `other-${index}`;
    const block = addressAt("192.168.0.0/15", ((37 * index) % 2048) * 64);
    const cidr = `${block}/26`;
    await put("nodes", "Node", name, {
      bgp: { ipv4Address: `${addressAt("10.2.0.0/16", index + 1)}/16` },
      ipv4VXLANTunnelAddr: block,
    });
    const key = `/calico/ipam/v2/assignment/ipv4/block/${cidr.replace("/", "-")}`;
    await etcd.put(key, encodeValue({ kind: "IPAMBlock", cidr }, newBlock(cidr, `host:${name}`, 1n), new Date()));
  }

  const ways = () => {
    const { node } = fabric.named("node-a");
    const counted =
      "ip route | grep -c 'vxlan.calico onlink'; bridge fdb show dev vxlan.calico 2>/dev/null | grep -c dst";
    return node.sh(`{ ${counted}; } || true`).trim().split("\n").map(Number);
  };

  /** Milliseconds of CPU of the agent and of its `tortie-net`, in steps of 10. */
  function cpuMs(): number {
    const pids = [agent.pid, ...childrenOf(agent.pid)];
    const ticks = pids.map((pid) => {
      const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
        .replace(/^.*\) /, "")
        .split(" ");
      return Number(fields[11]) + Number(fields[12]);
    });
    return 10 * ticks.reduce((sum, one) => sum + one, 0);
  }

  test("every node has a way, and one more gets one", async () => {
    const { node, address4 } = fabric.named("node-a");
    const environment = {
      ...{ ETCD_ENDPOINTS: etcd.endpoint, NODENAME: "node-a", CALICO_NETWORKING_BACKEND: "vxlan" },
      ...{ IP: `${address4}/24`, NO_DEFAULT_POOLS: "true", FELIX_IPV6SUPPORT: "false" },
      TORTIE_NET: join(dirname(ourPluginDir), "tortie-net"),
    };
    const start = performance.now();
    agent = await Agent.start(node, environment, { hasNetwork: true });
    const ready = performance.now();
    await expect.poll(ways, { timeout: 60_000, interval: 20 }).toEqual([count, count]);
    const all = performance.now();
    console.log(
      `start to ready ${ms(ready - start)}, to ${count} ways ${ms(all - start)}, ${cpuMs()} ms of CPU in all`,
    );
    await sleep(3000);
    const before = cpuMs();
    const times: number[] = [];
    for (let one = 1; one <= more; one++) {
      const added = performance.now();
      await addNode(count + one - 1);
      await expect.poll(ways, { timeout: 10_000, interval: 5 }).toEqual([count + one, count + one]);
      times.push(performance.now() - added);
      await sleep(300);
    }
    const [least = 0, median = 0, most = 0] = [0, more >> 1, more - 1].map((at) => times.sort((a, b) => a - b)[at]);
    const cpu = Math.round((cpuMs() - before) / more);
    console.log(`one more node: ${ms(median)} (${ms(least)} to ${ms(most)}), ${cpu} ms of CPU on average`);
    console.log(
      `resident: agent ${residentMiB(agent.pid)} MiB, tortie-net ${childrenOf(agent.pid).map(residentMiB)} MiB`,
    );
  });
});

function childrenOf(pid: number): readonly number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return text === "" ? [] : text.split(" ").map(Number);
}

function residentMiB(pid: number): number {
  const [, pages = "0"] = readFileSync(`/proc/${pid}/statm`, "utf8").split(" ");
  return Math.round((Number(pages) * 4096) / 2 ** 20);
}

function ms(time: number): string {
  return `${Math.round(time)} ms`;
}
