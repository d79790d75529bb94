/**
 * Calico's IPAM and ours on one datastore at once: the writes of Calico's library (played, in the recorded shape) against our agent's, which also deletes pods
 * that Calico made. No address twice, no invariant broken, and what no program of today knows stays.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { BlockSpec } from "../../src/ipam/model/block.ts";
import { blockFault } from "../../src/ipam/model/block-fault.ts";
import { Agent } from "../lib/cluster/agent.ts";
import { CalicoIpam } from "../lib/cluster/calico-ipam.ts";
import { Etcd, etcdIsMissing } from "../lib/cluster/etcd.ts";
import { KubeApiserver } from "../lib/cluster/kube-apiserver.ts";
import { buildTimeoutMs, kubeApiserverIsMissing } from "../lib/cluster/kubernetes-build.ts";
import { createNode } from "../lib/cluster/kubernetes-objects.ts";
import { etcdIpam, kubernetesIpam, type RawIpam } from "../lib/cluster/raw-ipam.ts";
import { howMany } from "../lib/how-many.ts";
import { Node } from "../lib/node/netns.ts";
import { type Random, randomOf, seed } from "../lib/random.ts";

const network = "k8s-pod-network";
const [calicoNode, ourNode] = ["calico.a.example", "tortie.b.example"] as const;
/** Of 16 addresses each, so that both sides soon borrow. */
const cidrs = Array.from({ length: 6 }, (_, index) => `10.77.0.${index * 16}/28`);
const pool = { cidr: "10.77.0.0/25", blockSize: 28, nodeSelector: "all()", allowedUses: ["Workload", "Tunnel"] };

interface Site {
  readonly store: RawIpam;
  readonly agent: Agent;
  stop(): Promise<void>;
}

const sites = [
  ["etcd", etcdIsMissing, onEtcd],
  ["Kubernetes", etcdIsMissing ?? kubeApiserverIsMissing, onKubernetes],
] as const;

async function onEtcd(): Promise<Site> {
  const etcd = await Etcd.start();
  const resource = (kind: string, name: string, spec: object) => {
    const object = { kind, apiVersion: "projectcalico.org/v3", metadata: { name }, spec };
    return etcd.put(`/calico/resources/v3/projectcalico.org/${kind.toLowerCase()}s/${name}`, JSON.stringify(object));
  };
  await resource("IPPool", "mixed", pool);
  for (const name of [calicoNode, ourNode]) await resource("Node", name, { bgp: {} });
  return withAgent(etcdIpam(etcd), { ETCD_ENDPOINTS: etcd.endpoint }, () => etcd.stop());
}

async function onKubernetes(): Promise<Site> {
  const api = await KubeApiserver.start();
  const object = { apiVersion: "crd.projectcalico.org/v1", kind: "IPPool", metadata: { name: "mixed" }, spec: pool };
  await api.json("POST", "/apis/crd.projectcalico.org/v1/ippools", object);
  for (const name of [calicoNode, ourNode]) await createNode(api, name);
  const environment = { DATASTORE_TYPE: "kubernetes", KUBECONFIG: api.kubeconfig };
  return withAgent(kubernetesIpam(api), environment, () => api.stop());
}

async function withAgent(
  store: RawIpam,
  environment: Readonly<Record<string, string>>,
  end: () => Promise<void>,
): Promise<Site> {
  const node = await Node.start("tortie");
  const settings = { NODENAME: ourNode, TORTIE_NODENAME_FROM_REQUEST: "true", NO_DEFAULT_POOLS: "true" };
  const agent = await Agent.start(node, { ...environment, ...settings });
  const stop = async () => {
    await agent.stop();
    await node.stop();
    await end();
  };
  return { store, agent, stop };
}

describe.each(sites)("two IPAMs on %s", (_, whyNot, start) => {
  const random: Random = randomOf(seed);
  /** Handles by address, as the two sides know them. */
  const held = new Map<string, string>();
  let site: Site;
  let calico: CalicoIpam;
  let made = 0;

  beforeAll(async () => {
    if (whyNot !== undefined) return;
    site = await start();
    calico = new CalicoIpam(site.store, calicoNode, cidrs, random);
  }, buildTimeoutMs);
  afterAll(() => site?.stop());

  function take(handle: string, address: string): void {
    expect([address, held.get(address)]).toEqual([address, undefined]);
    held.set(address, handle);
  }

  /** The handle of one that is held; it counts as free from now on. */
  function give(isWanted: (handle: string) => boolean): string | undefined {
    const all = [...held].filter(([, handle]) => isWanted(handle));
    if (all.length === 0) return undefined;
    const [address, handle] = random.pick(all);
    held.delete(address);
    return handle;
  }

  /** Of the pods that Calico made; some by a release whose handles had no network. */
  const isCalicos = (handle: string) => handle.includes("calico-");

  async function calicoStep(): Promise<void> {
    const kind = random.below(10);
    if (kind === 0) await calico.claim({ isOld: random.chance(0.5) });
    else if (kind === 1) await calico.releaseBlock();
    else if (kind === 2) await calico.upgradeHost();
    else if (kind === 3) await calico.markBlock();
    else if (kind <= 5) {
      const handle = give(isCalicos);
      if (handle !== undefined) await calico.release(handle);
    } else {
      const id = `calico-${++made}`;
      const handle = random.chance(0.2) ? id : `${network}.${id}`;
      const assigned = await calico.assign(handle, { borrows: random.chance(0.3) });
      if (assigned !== undefined) take(handle, assigned.address);
    }
  }

  const attachmentOf = (handle: string) => ({
    ...{ network, containerID: handle.replace(`${network}.`, ""), ifname: "eth0" },
  });

  async function release(handle: string): Promise<void> {
    const nodename = isCalicos(handle) ? calicoNode : ourNode;
    const reply = await site.agent.ask({ op: "release", nodename, attachment: attachmentOf(handle) });
    expect(reply).not.toHaveProperty("error");
  }

  async function assign(): Promise<void> {
    const handle = `${network}.tortie-${++made}`;
    const request = { wanted: [{ family: 4, pools: [] }], addresses: [], reserved: [] } as const;
    const reply = await site.agent.ask({
      op: "assign",
      nodename: ourNode,
      attachment: attachmentOf(handle),
      ...request,
    });
    // The pool is full, as the walk may make it.
    if ("error" in reply) expect(reply.error.message).toContain("Assigned 0 out of 1 requested IPv4 addresses");
    else take(handle, reply.result.addresses?.[0]?.address ?? "");
  }

  async function ourStep(): Promise<void> {
    const handle = random.chance(0.4) ? give((one) => random.chance(0.2) || !isCalicos(one)) : undefined;
    await (handle === undefined ? assign() : release(handle));
  }

  /** What the blocks say who has which address; every invariant of blocks, handles and affinities is checked on the way. */
  async function recorded(): Promise<ReadonlyMap<string, string>> {
    const [blocks, handles, affinities] = await Promise.all(
      (["block", "handle", "affinity"] as const).map((kind) => site.store.list(kind)),
    );
    const all = new Map<string, string>();
    const counts = new Map<string, number>();
    for (const { spec } of blocks ?? []) {
      const block = spec as unknown as BlockSpec;
      expect([block.cidr, blockFault(block)]).toEqual([block.cidr, undefined]);
      const first = Number(/(\d+)\/28$/.exec(block.cidr)?.[1]);
      for (const [ordinal, index] of block.allocations.entries()) {
        if (index === null) continue;
        const { handle_id: handle } = block.attributes[index] as unknown as { readonly handle_id: string };
        all.set(`10.77.0.${first + ordinal}`, handle);
        counts.set(`${handle} ${block.cidr}`, (counts.get(`${handle} ${block.cidr}`) ?? 0) + 1);
      }
    }
    const counted = (handles ?? []).flatMap(({ key, spec }) =>
      Object.entries(spec.block as Readonly<Record<string, number>>).map(
        ([cidr, count]) => [`${key.handle} ${cidr}`, count] as const,
      ),
    );
    expect(new Map(counted)).toEqual(counts);
    const claims = (affinities ?? []).map(({ key }) => `host:${key.node} ${key.cidr}`).sort();
    const owned = (blocks ?? []).map(({ spec }) => `${spec.affinity} ${spec.cidr}`).sort();
    expect(claims).toEqual(owned);
    expect((affinities ?? []).map(({ spec }) => spec.state)).toEqual(claims.map(() => "confirmed"));
    return all;
  }

  test.skipIf(whyNot !== undefined)(`never assign one address twice (seed ${seed})`, async () => {
    const steps = howMany(500);
    const walk = async (step: () => Promise<void>) => {
      for (let at = 0; at < steps; at++) await step();
    };
    await calico.claim();
    await Promise.all([walk(calicoStep), walk(ourStep)]);
    expect(await recorded()).toEqual(held);
    expect([...held.values()].filter(isCalicos).length).toBeGreaterThan(0);
  });

  test.skipIf(whyNot !== undefined)("ours leaves what it does not know, and deletes Calico's pods", async () => {
    const unmarked = async () => (await site.store.list("block")).filter((block) => !site.store.isMarked(block));
    while ((await unmarked()).length > 0) await calico.markBlock();
    const marked = new Set((await site.store.list("block")).map(({ key }) => key.cidr));
    for (let at = 0; at < 10; at++) await assign();
    for (const handle of [...held.values()].slice(0, -2)) await release(handle);
    const left = new Map([...held].slice(-2));
    expect(await recorded()).toEqual(left);
    expect((await site.store.list("block")).map(({ key }) => key.cidr)).toEqual(expect.arrayContaining([...marked]));
    expect((await unmarked()).filter(({ key }) => marked.has(key.cidr))).toEqual([]);
    for (const handle of left.values()) await release(handle);
    expect([...(await recorded())]).toEqual([]);
  });
});
