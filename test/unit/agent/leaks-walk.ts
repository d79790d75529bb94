/**
 * A cluster in memory for random walks: pods, nodes and agents come and go, are killed in the midst of what they do, or are frozen in it.
 *
 * **No address of a living attachment is ever released or given twice.** It is checked after each step.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { NodeStore } from "../../../src/agent/datastore/node-store.ts";
import { Endpoints } from "../../../src/agent/endpoints/endpoints.ts";
import { Addresses } from "../../../src/agent/ipam/addresses.ts";
import { Adds } from "../../../src/agent/ipam/adds.ts";
import { KeyedQueue } from "../../../src/agent/ipam/keyed-queue.ts";
import { Unconfirmed } from "../../../src/agent/ipam/unconfirmed.ts";
import { heldIn } from "../../../src/agent/leaks/holding.ts";
import { LostNodes } from "../../../src/agent/leaks/lost-nodes.ts";
import { NodeLeaks } from "../../../src/agent/leaks/node-leaks.ts";
import { Records } from "../../../src/agent/leaks/records.ts";
import { type Answerer, serveMessage } from "../../../src/agent/socket/answer.ts";
import { removeEndpoint, writeEndpoint } from "../../../src/endpoint/endpoint.ts";
import type { Block } from "../../../src/ipam/model/block.ts";
import { handleIdOf } from "../../../src/ipam/model/handle.ts";
import type { AsyncDatastore } from "../../../src/store/async-datastore.ts";
import { type AsyncStore, driveAsync } from "../../../src/store/transaction.ts";
import { FakeMachine, FakeSys } from "../../lib/fake/sys.ts";
import type { Random } from "../../lib/random.ts";
import { type MemoryDatastore, memoryDatastore } from "./memory-datastore.ts";

export const graceMs = 900_000;
const intervalMs = graceMs / 2;
const ms = 20_000;

class AgentKilled extends Error {}

/** An agent and the connection to the datastore that it has. */
interface RunningAgent {
  readonly answerer: Answerer;
  readonly leaks: NodeLeaks;
  readonly lost: LostNodes;
  /** Its looks that were begun. */
  readonly looks: Promise<unknown>[];
  kill(): void;
  freeze(): void;
  thaw(): void;
  isFrozen(): boolean;
}

interface Living {
  readonly node: string;
  readonly container: string;
  readonly addresses: readonly string[];
}

/** An ADD that has its addresses but no record yet, because its plugin is frozen. */
interface Parked extends Living {
  readonly agent: RunningAgent;
}

export class LeaksWalk {
  readonly datastore: MemoryDatastore = memoryDatastore();
  readonly #random: Random;
  readonly #isKubernetes: boolean;
  readonly #machines = new Map<string, FakeMachine>();
  readonly #agents = new Map<string, RunningAgent>();
  readonly #living = new Map<string, Living>();
  readonly #parked: Parked[] = [];
  readonly failures: unknown[] = [];
  #nowMs = 0;
  #containers = 0;

  constructor(random: Random, isKubernetes: boolean) {
    this.#random = random;
    this.#isKubernetes = isKubernetes;
    this.datastore.memory.put("IPPool", "p", { cidr: "10.0.0.0/26", blockSize: 29 });
  }

  async start(names: readonly string[]): Promise<void> {
    for (const name of names) await this.#comes(name);
  }

  async step(): Promise<void> {
    const random = this.#random;
    const name = random.pick([...this.#machines.keys()]);
    const agent = this.#agents.get(name);
    const choice = random.next();
    if (agent === undefined) await this.#comes(name);
    else if (agent.isFrozen()) {
      if (random.chance(0.3)) await this.#thaw(agent);
    } else if (choice < 0.3) await this.#add(name, agent);
    else if (choice < 0.4) await this.#remove(name, agent);
    else if (choice < 0.5) this.#vanish(name);
    else if (choice < 0.55) await this.#resume();
    else if (choice < 0.62) await this.#restart(name);
    else if (choice < 0.65) this.#reboots(name);
    else if (choice < 0.68) this.#goes(name);
    else if (choice < 0.76) await this.#lookAndFreeze(agent);
    else if (choice < 0.82) await this.#lookAndKill(name, agent);
    else await this.#look();
    this.#check();
  }

  /** Thaws and resumes everything, and looks until all leaks are released. */
  async settle(): Promise<void> {
    for (const agent of this.#agents.values()) await this.#thaw(agent);
    while (this.#parked.length > 0) await this.#resume();
    // An agent believes in records when it has seen one.
    for (const [name, agent] of this.#agents) if (!this.#has(name)) await this.#add(name, agent, "whole");
    for (let looks = 0; looks < 8; looks++) await this.#look();
    this.#check();
    const held = this.#held();
    const living = [...this.#living.values()].flatMap(({ container, addresses }) =>
      addresses.map((address) => `${address} net.${container}`),
    );
    expect([...held].map(([address, handle]) => `${address} ${handle}`).sort()).toEqual(living.sort());
    const { memory } = this.datastore;
    expect(
      memory
        .all<{ readonly handleID: string }>("IPAMHandle")
        .map(({ spec }) => spec.handleID)
        .sort(),
    ).toEqual([...this.#living.keys()].map((container) => `net.${container}`).sort());
    const owners = memory.all<{ readonly node: string }>("BlockAffinity").map(({ spec }) => spec.node);
    for (const owner of owners) expect([...this.#agents.keys()]).toContain(owner);
    for (const block of memory.all<{ readonly affinity?: string }>("IPAMBlock"))
      if (block.spec.affinity !== undefined)
        expect([...this.#agents.keys()]).toContain(block.spec.affinity.replace("host:", ""));
    if (!this.#isKubernetes) expect(memory.all("WorkloadEndpoint")).toHaveLength(this.#living.size);
  }

  async #comes(name: string): Promise<void> {
    this.#machines.set(name, new FakeMachine());
    this.datastore.memory.put("Node", name, {});
    await this.#restart(name);
  }

  async #restart(name: string): Promise<void> {
    this.#agents.get(name)?.kill();
    this.#agents.set(name, this.#agentOf(name));
    await sleep(10);
  }

  /** The node is deleted, and its sandboxes with it. */
  #goes(name: string): void {
    if (this.#agents.size < 2) return;
    this.#reboots(name);
    this.#agents.get(name)?.kill();
    this.#agents.delete(name);
    this.datastore.memory.objects.delete(`Node/${name}`);
  }

  /** Sandboxes and records are gone, and no plugin asks for a release. */
  #reboots(name: string): void {
    for (const one of [...this.#living.values()]) if (one.node === name) this.#forget(one);
    for (const one of this.#parked.filter(({ node }) => node === name)) {
      this.#parked.splice(this.#parked.indexOf(one), 1);
      this.#endPod(one);
    }
  }

  #forget(one: Living): void {
    this.#living.delete(one.container);
    removeEndpoint(this.#sysOf(one.node), attachmentOf(one));
    this.#endPod(one);
  }

  /** In Kubernetes: the pod is deleted, has finished, or has another sandbox. */
  #endPod({ node, container }: Living): void {
    if (!this.#isKubernetes) return;
    const way = this.#random.below(3);
    if (way === 0) this.datastore.memory.objects.delete(`WorkloadEndpoint/${podName(node, container)}`);
    else if (way === 1) this.#putPod(node, container, ["10.9.9.9/32"], "later");
    else this.#putPod(node, container, [], container, { status: { phase: "Succeeded" } });
  }

  async #add(name: string, agent: RunningAgent, how?: "whole"): Promise<void> {
    const container = `c${this.#containers++}`;
    const fate = how === "whole" ? 1 : this.#random.next();
    if (this.#isKubernetes) this.#putPod(name, container, [], "");
    const assigning = serveMessage(agent.answerer, {
      ...this.#message(name, container),
      ...{ op: "assign", wanted: [{ family: 4, pools: [] }], addresses: [], reserved: [] },
    }).catch(() => undefined);
    if (fate < 0.1) {
      await sleep(15 * this.#random.next());
      await this.#restart(name);
    }
    const { addresses = [] } = (await assigning) ?? {};
    const one = { node: name, container, addresses: addresses.map(({ address }) => address) };
    // An ADD that failed or whose plugin was killed.
    if (one.addresses.length === 0 || fate < 0.25) return this.#endPod(one);
    if (fate < 0.4) this.#parked.push({ ...one, agent });
    else await this.#record(one, agent);
  }

  /** A frozen plugin goes on, if its own time has not run out with the agent that it knew. */
  async #resume(): Promise<void> {
    const one = this.#parked.shift();
    if (one === undefined) return;
    if (this.#agents.get(one.node) !== one.agent) return this.#endPod(one);
    if (one.agent.isFrozen()) this.#parked.push(one);
    else await this.#record(one, one.agent);
  }

  async #record(one: Living, agent: RunningAgent): Promise<void> {
    const { node, container } = one;
    const addresses = one.addresses.map((address) => `${address}/32`);
    const facts = { hostInterface: "cali0", mac: "ee:ee:ee:ee:ee:ee" };
    writeEndpoint(this.#sysOf(node), {
      ...{ attachment: attachmentOf(one), node, pod: { namespace: "ns", name: container } },
      ...{ ...facts, addresses, netns: "" },
    });
    try {
      await serveMessage(agent.answerer, {
        ...this.#message(node, container),
        ...{ op: "put-endpoint", ...facts, addresses, profiles: [] },
      });
      this.#living.set(container, one);
    } catch (error) {
      expect(error).toMatchObject({ name: "Released" });
      await serveMessage(agent.answerer, { ...this.#message(node, container), op: "release" });
      removeEndpoint(this.#sysOf(node), attachmentOf(one));
      this.#endPod(one);
    }
  }

  async #remove(name: string, { answerer }: RunningAgent): Promise<void> {
    const one = [...this.#living.values()].find(({ node }) => node === name);
    if (one === undefined) return;
    this.#living.delete(one.container);
    for (const op of ["delete-endpoint", "release"] as const)
      if (op === "release" || !this.#isKubernetes)
        await serveMessage(answerer, { ...this.#message(name, one.container), op });
    this.#forget(one);
  }

  #vanish(name: string): void {
    const one = [...this.#living.values()].find(({ node }) => node === name);
    if (one !== undefined) this.#forget(one);
  }

  async #look(): Promise<void> {
    this.#nowMs += intervalMs;
    const looks = [...this.#agents.values()].filter((agent) => !agent.isFrozen()).map((agent) => this.#begin(agent));
    await Promise.all(looks);
  }

  #begin({ leaks, lost, looks }: RunningAgent): Promise<void> {
    const both = async () => {
      await leaks.look();
      // Elected or not: two at once must do no harm.
      if (this.#random.chance(0.7)) await lost.look();
    };
    const look = both().catch((error) => {
      if (!(error instanceof AgentKilled)) this.failures.push(error);
    });
    looks.push(look);
    return look;
  }

  async #lookAndFreeze(agent: RunningAgent): Promise<void> {
    this.#nowMs += intervalMs;
    void this.#begin(agent);
    await sleep(40 * this.#random.next());
    agent.freeze();
  }

  async #lookAndKill(name: string, agent: RunningAgent): Promise<void> {
    this.#nowMs += intervalMs;
    void this.#begin(agent);
    await sleep(40 * this.#random.next());
    await this.#restart(name);
  }

  async #thaw(agent: RunningAgent): Promise<void> {
    agent.thaw();
    await Promise.all(agent.looks);
  }

  #agentOf(node: string): RunningAgent {
    const connection = new Connection(this.datastore.store);
    const datastore: AsyncDatastore = {
      ...this.datastore,
      store: connection,
      transact: (transaction) => driveAsync(transaction(), connection),
      visit: async (kind, visitor) => {
        const reply = await connection.handle({ op: "list", kind, filter: {}, isWhole: false });
        if ("objects" in reply) for (const object of reply.objects) visitor(object);
      },
    };
    const sys = this.#sysOf(node);
    const transactions = new NodeStore(datastore, node);
    const queue = new KeyedQueue();
    const records = new Records(sys);
    const now = () => BigInt(this.#nowMs) * 1_000_000n + 1_700_000_000_000_000_000n;
    const onFailure = (_: unknown, error: Error) => {
      if (!(error instanceof AgentKilled)) this.failures.push(error);
    };
    const isKubernetes = this.#isKubernetes;
    const common = {
      node,
      isKubernetes,
      graceMs,
      maxGapMs: 3 * intervalMs,
      now,
      clockMs: () => this.#nowMs,
      onFailure,
    };
    const onReleased = () => undefined;
    return {
      answerer: {
        addresses: new Addresses(datastore, () => sys.wallClock(), transactions),
        endpoints: new Endpoints(transactions, isKubernetes),
        ...{ node, queue, records, adds: new Adds(), unconfirmed: new Unconfirmed() },
        settle: async () => undefined,
        heldBack: () => undefined,
        describeNode: () => ({ nodename: node, datastore: "etcdv3", notReady: [], networking: "none" }),
        onAnswer: () => undefined,
      },
      leaks: new NodeLeaks({ ...common, fresh: connection, transactions, records, queue, onReleased }),
      lost: new LostNodes({ ...common, datastore, onReleased, onCleared: () => undefined }),
      looks: [],
      kill: () => connection.kill(),
      freeze: () => connection.freeze(),
      thaw: () => connection.thaw(),
      isFrozen: () => connection.isFrozen,
    };
  }

  /** A new process on the node's machine. */
  #sysOf(node: string): FakeSys {
    return new FakeSys({ machine: this.#machines.get(node) as FakeMachine });
  }

  #has(name: string): boolean {
    return [...this.#living.values()].some(({ node }) => node === name);
  }

  #message(nodename: string, container: string) {
    const attachment = { network: "net", containerID: container, ifname: "eth0" };
    return { version: 1, nodename, deadlineMs: ms, attachment, pod: { namespace: "ns", name: container } } as const;
  }

  /** `containerID`: of the sandbox that the API server knows. */
  #putPod(
    node: string,
    container: string,
    ipNetworks: readonly string[],
    containerID: string,
    more: object = {},
  ): void {
    const name = podName(node, container);
    const { memory } = this.datastore;
    const spec = { orchestrator: "k8s", node, pod: container, endpoint: "eth0", containerID, ipNetworks };
    memory.put("WorkloadEndpoint", name, spec);
    const stored = memory.objects.get(`WorkloadEndpoint/${name}`);
    if (stored === undefined) return;
    const metadata = { ...stored.metadata, namespace: "ns" };
    memory.objects.set(`WorkloadEndpoint/${name}`, { ...stored, ...more, metadata });
  }

  #held(): ReadonlyMap<string, string> {
    const blocks = this.datastore.memory.all("IPAMBlock") as readonly Block[];
    return new Map(blocks.flatMap(heldIn).map(({ address, handleId }) => [address, handleId]));
  }

  #check(): void {
    const held = this.#held();
    for (const one of this.#living.values())
      for (const address of one.addresses)
        expect(`${address} ${held.get(address)}`).toBe(`${address} ${handleIdOf(attachmentOf(one))}`);
  }
}

/** An agent's own way to the datastore: it ends with the agent, and stands still with it. */
class Connection implements AsyncStore {
  readonly #store: AsyncStore;
  #isDead = false;
  #thawed: Promise<void> | undefined;
  #thaw = () => {};

  constructor(store: AsyncStore) {
    this.#store = store;
  }

  get isFrozen(): boolean {
    return this.#thawed !== undefined;
  }

  async handle(request: Parameters<AsyncStore["handle"]>[0]): Promise<Awaited<ReturnType<AsyncStore["handle"]>>> {
    await this.#thawed;
    if (this.#isDead) throw new AgentKilled();
    const reply = await this.#store.handle(request);
    await this.#thawed;
    if (this.#isDead) throw new AgentKilled();
    return reply;
  }

  kill(): void {
    this.#isDead = true;
    this.thaw();
  }

  freeze(): void {
    this.#thawed = new Promise((resolve) => {
      this.#thaw = resolve;
    });
  }

  thaw(): void {
    this.#thawed = undefined;
    this.#thaw();
  }
}

function attachmentOf({ container }: Living) {
  return { network: "net", containerId: container, ifname: "eth0" };
}

function podName(node: string, container: string): string {
  return `${node}-k8s-${container}-eth0`;
}
