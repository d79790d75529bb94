/**
 * What decides whether a pod's packets arrive, as data.
 *
 *     pod ──eth0══cali…──► route look-up ──► forward hook ──► postrouting ──► uplink ──► gateway
 *         ◄──────────────  route look-up ◄── forward hook ◄── (address back) ◄─────────┘
 *
 * **The kernel is asked where it can answer**: it looks routes up for a packet of the pod's and for its answer (rules, reverse path and
 * forwarding included), and a probe packet shows whether the hooks let one through. What nobody can be asked for, why a packet is dropped,
 * is read: rules of the firewall (`filter.ts`), policy rules, sysctls.
 *
 * **Never sure without proof**: an error is what the kernel refused, what a probe lost, or what rules drop whatever else they hold.
 */
import type { Family } from "../../../net/address.ts";
import type { BaseChain } from "./filter.ts";

export interface ReachFacts {
  readonly pods: readonly ReachPod[];
  /** What the pods' families leave the node by, whatever pod it is. */
  readonly uplinks: Readonly<Record<Family, RouteLookup>>;
  /** In the order of `pods`. */
  readonly ways: readonly PodRoutes[];
  readonly rules: Readonly<Record<Family, readonly IpRule[]>>;
  /** Routes that refuse, in any table; asked for only where a look-up was refused. */
  readonly refusing: Readonly<Record<Family, readonly RefusingRoute[]>>;
  /** By path below /proc/sys; those that the kernel does not have are missing. */
  readonly sysctls: ReadonlyMap<string, string>;
  /** Links that would lose the routes of router advertisements when IPv6's forwarding is written. */
  readonly listeners: readonly string[];
  readonly chains: readonly BaseChain[];
  readonly links: readonly LinkFact[];
  /** Of the gateways and of pods. */
  readonly neighbours: readonly NeighbourFact[];
  /** Addresses of the node itself. */
  readonly ownAddresses: readonly string[];
  /** Programs that run and manage networks. */
  readonly services: readonly string[];
  /** Whether something on the node answers DNS to others than itself. */
  readonly servesDns: boolean;
  readonly probe: ProbeFacts;
  /** What could not be looked at, and why. */
  readonly unseen: readonly string[];
}

/** One address of an attachment that is whole. */
export interface ReachPod {
  /** `default/web-0 eth0` */
  readonly name: string;
  readonly hostInterface: string;
  /** Inside: what a further interface sends may leave by another of the pod's. */
  readonly ifname: string;
  readonly mac: string | undefined;
  readonly address: string;
  readonly family: Family;
  /** The path of its namespace. */
  readonly netns: string | undefined;
  /** Whether its pool has natOutgoing. */
  readonly hasNat: boolean;
}

/** The kernel's route lookup for a packet. */
export type RouteLookup =
  | {
      readonly kind: "route";
      readonly dev: string;
      readonly gateway: string | undefined;
      /** Absent: main, or a kernel that does not tell. */
      readonly table: string | undefined;
      /** The source that the node would choose. */
      readonly source: string | undefined;
    }
  | { readonly kind: "refused"; readonly reason: Refusal }
  | { readonly kind: "unasked" };

export type Refusal = "unreachable host" | "unreachable network" | "invalid" | "prohibited";

export interface PodRoutes {
  /** From the pod to an address outside. */
  readonly out: RouteLookup;
  /** Back to the pod, come in by the interface that `out` leaves by. */
  readonly back: RouteLookup;
  /** From the node itself to the pod, before and after it has chosen its source: rules may tell sources apart. */
  readonly toPod: RouteLookup;
  /** The route that leads `toPod` or `back` elsewhere: its destination, and which program's protocol made it. */
  readonly strayRoute: { readonly destination: string; readonly protocol: string | undefined } | undefined;
}

export interface IpRule {
  readonly priority: number;
  /** As `ip rule` writes it. */
  readonly text: string;
  readonly table: string | undefined;
  /** `blackhole`, `unreachable`, `prohibit`; absent for a look-up. */
  readonly action: string | undefined;
  /** The packets that it is for; what is absent, any. `not`: all but those. */
  readonly from: string | undefined;
  readonly to: string | undefined;
  readonly iif: string | undefined;
  readonly not: boolean;
  readonly mark: string | undefined;
}

/** A route that the plugins did not create. */
export interface RefusingRoute {
  readonly type: string;
  readonly destination: string;
  readonly table: string;
}

export interface LinkFact {
  readonly name: string;
  readonly mtu: number;
  /** Addresses that the plugins did not give it: of host interfaces alone. */
  readonly addresses: readonly string[];
  /** What is attached to it from elsewhere: `XDP program 12`, `clsact`. */
  readonly programs: readonly string[];
  /** Whether all that comes in by it is sent to an interface that is gone. */
  readonly isLost: boolean;
}

export interface NeighbourFact {
  readonly address: string;
  readonly dev: string;
  readonly mac: string | undefined;
  /** Nobody answered when it was asked for. */
  readonly isFailed: boolean;
}

export interface ProbeFacts {
  /** Why none was sent. */
  readonly unsent: string | undefined;
  /** Whether one should have been sent, and could not. */
  readonly isFaulty?: true;
  readonly results: readonly ProbeResult[];
  /** Packets that the reverse path filter dropped meanwhile, whosever they were. */
  readonly reversePathDrops: number;
}

/** What became of the packets that one pod's namespace was made to send. */
export interface ProbeResult {
  readonly pod: ReachPod;
  /** Whether connection tracking saw it leave the node; `unknown` where it does not track the node's own packets either. */
  readonly left: "yes" | "no" | "unknown";
  /** The source address that it left with. */
  readonly leftAs: string | undefined;
  /** What the gateway answered the pod; `unknown` where it does not answer the node either. */
  readonly answer: "came" | "missing" | "refused" | "unknown";
}

export const noReachFacts: ReachFacts = {
  pods: [],
  uplinks: { 4: { kind: "unasked" }, 6: { kind: "unasked" } },
  ways: [],
  rules: { 4: [], 6: [] },
  refusing: { 4: [], 6: [] },
  sysctls: new Map(),
  listeners: [],
  chains: [],
  links: [],
  neighbours: [],
  ownAddresses: [],
  services: [],
  servesDns: false,
  probe: { unsent: undefined, results: [], reversePathDrops: 0 },
  unseen: [],
};
