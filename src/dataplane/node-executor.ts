/**
 * The executor of a node's plan: what `tortie-net` imports of this directory, apart from errors.
 *
 *     apply(plan)          makes the kernel hold the plan, and removes of its scopes what the plan does not want
 *     change(add, remove)  changes the plan: touches what the change names alone
 *     repair()             puts back what another program changed, and removes nothing
 *     wait(), read()       waits for events, and reads them
 */
import type { Sys } from "../host/sys.ts";
import { identityOf } from "../plan/identity.ts";
import type { NodePlan, NodeResource, Scope, TunnelState } from "../plan/node-plan.ts";
import { NetlinkConnection } from "./connection.ts";
import { changePlan } from "./node-plan/change.ts";
import { EventReader, type Events } from "./node-plan/events.ts";
import { routeMembership } from "./node-plan/members.ts";
import { type NodeFailure, Pass } from "./node-plan/pass.ts";
import { isTunnel, linksOf, reconcile } from "./node-plan/reconcile.ts";

export type { NodeFailure };

/** What a call did. */
export interface NodeReport {
  /** How many resources were added or changed. */
  readonly applied: number;
  /** In the words of ip(8). */
  readonly removed: readonly string[];
  readonly failures: readonly NodeFailure[];
  readonly tunnels: readonly TunnelState[];
}

export class NodeExecutor {
  readonly #sys: Sys;
  readonly #connection: NetlinkConnection;
  #reader: EventReader | undefined;
  #pass: Pass;
  #plan = new Map<string, NodeResource>();
  #scopes: readonly Scope[] = [];

  constructor(sys: Sys) {
    this.#sys = sys;
    this.#connection = new NetlinkConnection(sys.openNetlink("route"));
    this.#pass = new Pass(sys, this.#connection);
  }

  /** A repeated call is harmless. Of two resources with one identity the last counts. */
  apply({ resources, scopes }: NodePlan): NodeReport {
    this.#plan = new Map(resources.map((one) => [identityOf(one), one]));
    this.#scopes = scopes;
    return this.#reconcile(true);
  }

  change(add: readonly NodeResource[], remove: readonly NodeResource[]): NodeReport {
    const before = this.#plan;
    const after = new Map(before);
    for (const one of remove) after.delete(identityOf(one));
    for (const one of add) after.set(identityOf(one), one);
    this.#plan = after;
    const pass = this.#newPass();
    const isDone = changePlan({ before, after, scopes: this.#scopes, touched: [...remove, ...add] }, pass);
    return isDone ? this.#report(pass) : this.#reconcile(true);
  }

  repair(): NodeReport {
    return this.#reconcile(false);
  }

  /** Waits for an event or for standard input, at its end too; neither after `timeoutMs`. The first call begins to listen. */
  wait(timeoutMs: number): { readonly stdin: boolean; readonly socket: boolean } {
    this.#reader ??= new EventReader(this.#sys, this.#connection);
    return this.#reader.socket.waitWithStdin(timeoutMs);
  }

  /** The events that have come. */
  read(): Events {
    const resources = [...this.#plan.values()];
    return (
      this.#reader?.read({
        links: new Set(resources.flatMap(linksOf)),
        tunnels: new Set(resources.filter(isTunnel).map(({ name }) => name)),
        resources: this.#plan,
        isMember: routeMembership(this.#scopes, this.#pass),
      }) ?? { events: [], touchesPlan: false }
    );
  }

  close(): void {
    this.#reader?.socket.close();
    this.#connection.close();
  }

  #newPass(): Pass {
    this.#pass = new Pass(this.#sys, this.#connection);
    return this.#pass;
  }

  #reconcile(removes: boolean): NodeReport {
    const pass = this.#newPass();
    reconcile({ resources: [...this.#plan.values()], scopes: this.#scopes }, { removes }, pass);
    return this.#report(pass);
  }

  #report(pass: Pass): NodeReport {
    const { applied, removed, failures } = pass;
    const names = [...this.#plan.values()].filter(isTunnel).map(({ name }) => name);
    const tunnels = names.flatMap((name) => {
      const link = pass.link(name);
      if (link === undefined) return [];
      const { index, mtu, mac } = link;
      return [{ name, index, mtu, ...(mac !== undefined && { mac }) }];
    });
    return { applied, removed, failures, tunnels };
  }
}
