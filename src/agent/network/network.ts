/**
 * The node's network, kept as the cluster wants it:
 *
 *     pools, blocks, nodes (followed) ─┐
 *     this node's interfaces ──────────┼─► plan ──► what changed ──► tortie-net ──► kernel
 *     the refresh interval ────────────┘              ▲                  │
 *                                                     └── events ◄───────┘
 *
 * **Nothing is planned before everything was listed once**, so that the start of an agent changes no route. While the datastore is away, the plan stays.
 */

import { outgoingOf } from "../../cluster-network/outgoing.ts";
import { CoreError } from "../../errors/core-error.ts";
import type { Sys } from "../../host/sys.ts";
import { ipipDevice, vxlanDevices } from "../../identity/names.ts";
import { addressOf } from "../../net/prefix.ts";
import type { NetEvent, Report } from "../../net-protocol/messages.ts";
import type { OutgoingMessage } from "../../node-protocol/messages.ts";
import { natOutgoing } from "../../plan/nat-outgoing.ts";
import type { NodePlan } from "../../plan/node-plan.ts";
import { planForwarding } from "../../plugin/forwarding.ts";
import type { AgentLog } from "../start/start-node.ts";
import { maxTimerMs, Turns } from "../turns.ts";
import { hasLink, readLocalLinks } from "./local-links.ts";
import { writeMtu } from "./mtu-file.ts";
import { NetProcess } from "./net-process.ts";
import type { NetworkStore } from "./network-store.ts";
import { type NetworkPlan, planNetwork } from "./plan.ts";
import { changeBetween, type IndexedPlan, indexPlan } from "./plan-change.ts";
import type { PluginObjects, Snapshot } from "./snapshot.ts";
import type { Trouble } from "./trouble.ts";

export interface NetworkOptions {
  readonly node: string;
  readonly sys: Sys;
  readonly log: AgentLog;
  readonly signal: AbortSignal;
  /** The path of `tortie-net`. */
  readonly program: string;
  readonly usesBgp: boolean;
  readonly hasIpv6: boolean;
  /** How often the whole plan is compared with the kernel; 0: only when something changes. */
  readonly refreshMs: number;
  /** An interface changed that may have this node's address. */
  readonly onUplink?: () => void;
  /** Why the network is not as it should be; `undefined`: it is. */
  readonly onState: (reason: string | undefined) => void;
}

/** Changes that come together are planned together. */
const quietMs = 10;
const firstRetryMs = 500;
const maxRetryMs = 10_000;

export class Network {
  readonly #store: NetworkStore;
  readonly #options: NetworkOptions;
  readonly #process: NetProcess;
  readonly #turns: Turns;
  /** What `tortie-net` was last told, and applied; `undefined`: it must be told everything. */
  #told: IndexedPlan | undefined;
  #isRunning = false;
  #failures = 0;
  #lastReason: string | undefined;
  #hasReported = false;
  #troubles: ReadonlyMap<string, Trouble> = new Map();

  constructor(store: NetworkStore, options: NetworkOptions) {
    this.#store = store;
    this.#options = options;
    this.#turns = new Turns(options.signal, quietMs);
    this.#process = new NetProcess({
      program: options.program,
      signal: options.signal,
      onStart: () => {
        this.#isRunning = true;
        this.#told = undefined;
        this.poke();
      },
      onEnd: (error) => {
        this.#isRunning = false;
        this.#told = undefined;
        this.#setReason(error.message);
      },
      onEvent: (event) => this.#onEvent(event),
    });
    options.onState("the routes to other nodes are not in place yet");
    void this.#follow();
  }

  /** Something changed. */
  poke(): void {
    this.#turns.poke();
  }

  async #follow(): Promise<void> {
    const { refreshMs } = this.#options;
    let refreshed = performance.now();
    while (await this.#turns.next(this.#waitMs())) {
      if (refreshMs > 0 && performance.now() - refreshed >= refreshMs) this.#told = undefined;
      if (this.#told === undefined) refreshed = performance.now();
      if (this.#isRunning && this.#store.isComplete) await this.#bringAbout();
    }
  }

  /** Until a failure is to be tried again, or the plan is to be refreshed. */
  #waitMs(): number {
    const { refreshMs } = this.#options;
    if (this.#failures > 0) return Math.min(maxRetryMs, firstRetryMs * 2 ** (this.#failures - 1));
    return refreshMs > 0 ? refreshMs : maxTimerMs;
  }

  async #bringAbout(): Promise<void> {
    const { plan, mtu, troubles } = this.#planned();
    this.#tell([...troubles, ...this.#store.settingFaults.map((message) => ({ about: message, message }))]);
    const own = troubles.find(({ isOwn }) => isOwn);
    if (plan === undefined) {
      this.#failures++;
      this.#setReason(own?.message ?? "this node's address is not known yet");
      return;
    }
    if (mtu !== undefined && writeMtu(mtu, this.#options.sys)) this.#options.log.info({ mtu }, "MTU of pods written");
    const report = await this.#send(plan);
    if (report === undefined) return;
    for (const { what, error } of report.failures)
      this.#options.log.warn({ what, error: error.message }, "not applied");
    const [failure] = report.failures;
    this.#failures = failure === undefined ? 0 : this.#failures + 1;
    if (failure !== undefined) this.#told = undefined;
    this.#setReason(failure === undefined ? own?.message : `${failure.what}: ${failure.error.message}`);
  }

  /** `undefined`: it was not answered. */
  async #send(plan: NodePlan): Promise<Report | undefined> {
    const indexed = indexPlan(plan);
    const change = this.#told && changeBetween(this.#told, indexed);
    if (change !== undefined && change.add.length === 0 && change.remove.length === 0) {
      return { applied: 0, removed: [], failures: [], tunnels: [] };
    }
    const start = performance.now();
    try {
      const report = await this.#process.request(change ?? { plan });
      this.#told = indexed;
      const ms = Math.round(performance.now() - start);
      const { applied, removed } = report;
      if (applied > 0 || removed.length > 0) this.#options.log.info({ applied, removed, ms }, "network changed");
      return report;
    } catch (error) {
      if (!(error instanceof CoreError)) throw error;
      this.#told = undefined;
      this.#failures++;
      this.#setReason(error.message);
      return undefined;
    }
  }

  #planned(): NetworkPlan {
    const { node, usesBgp, hasIpv6 } = this.#options;
    const { pools, blocks, nodes, settings, endpoints } = this.#store;
    const snapshot: Snapshot = {
      ...{ node, pools, blocks, nodes, usesBgp, hasIpv6, settings },
      links: readLocalLinks(),
      // A pod that is being deleted loses its interface first.
      endpoints: endpoints.filter(({ hostInterface }) => hasLink(hostInterface)),
    };
    return planNetwork(snapshot, this.#pluginObjects(snapshot));
  }

  #pluginObjects(snapshot: Snapshot): PluginObjects {
    const { node, nodes, blocks, pools } = snapshot;
    const addresses = Object.values(nodes.get(node)?.addresses ?? {}).map(addressOf);
    // The last pod's DEL removes the tables.
    const hasPods = blocks.some(({ hasOwnPods }) => hasOwnPods);
    const inOrder = [...pools].sort(({ name: one }, { name: other }) => (one < other ? -1 : Number(one > other)));
    return {
      forwarding: planForwarding(this.#options.sys, addresses).filter((one) => one.kind === "sysctl"),
      nat: hasPods
        ? natOutgoing(
            inOrder.map(({ cidr, natOutgoing: nat }) => ({ cidr, nat })),
            { outgoing: outgoingOf(snapshot) },
          )
        : [],
    };
  }

  /** For the plugins, which make the same objects; `undefined` as long as nothing is known, too. */
  outgoing(): OutgoingMessage | undefined {
    return this.#store.isComplete ? outgoingOf(this.#store) : undefined;
  }

  #onEvent(event: NetEvent): void {
    const { log } = this.#options;
    if (event.event === "repaired") {
      const { applied, removed, failures } = event;
      log.warn({ applied, removed, failures }, "another program had changed the network; put back");
    } else if (isOfUplink(event)) {
      this.#options.onUplink?.();
      this.poke();
    } else if (this.#isOfEndpoint(event)) this.poke();
  }

  /** The plan names only interfaces that exist. */
  #isOfEndpoint(event: NetEvent): boolean {
    return event.event === "link" && this.#store.endpoints.some(({ hostInterface }) => hostInterface === event.name);
  }

  #setReason(reason: string | undefined): void {
    if (reason === this.#lastReason && this.#hasReported) return;
    this.#hasReported = true;
    this.#lastReason = reason;
    this.#options.onState(reason);
    if (reason === undefined) this.#options.log.info({}, "network is in place");
    else this.#options.log.warn({ reason }, "network is not in place");
  }

  /** Logs a trouble once. */
  #tell(troubles: readonly Trouble[]): void {
    const { log } = this.#options;
    for (const { about, message, isUsual } of troubles) {
      if (this.#troubles.get(about)?.message === message) continue;
      if (isUsual) log.info({ error: message }, "network trouble");
      else log.warn({ error: message }, "network trouble");
    }
    this.#troubles = new Map(troubles.map((trouble) => [trouble.about, trouble]));
  }

  /** What is wrong, in sentences. */
  troubles(): readonly string[] {
    const others = [...this.#troubles.values()].map(({ message }) => message);
    return [...new Set([...(this.#lastReason === undefined ? [] : [this.#lastReason]), ...others])];
  }
}

/** Whether it may change which interface has this node's address, or its MTU. */
function isOfUplink(event: NetEvent): boolean {
  const link = event.event === "link" ? event.name : event.event === "address" ? event.link : undefined;
  const isTunnel = link === ipipDevice || Object.values(vxlanDevices).some((device) => device === link);
  return link !== undefined && !isTunnel && !link.startsWith("cali");
}
