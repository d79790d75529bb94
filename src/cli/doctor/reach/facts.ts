/**
 * The facts that decide whether a pod's packets arrive.
 *
 *     pod ──eth0══cali…──► route look-up ──► forward hook ──► postrouting ──► uplink ──► gateway
 *         ◄──────────────  route look-up ◄── forward hook ◄── (address back) ◄─────────┘
 *
 * **The kernel answers where it can**: it looks up routes for a pod's packet and for the reply (rules, reverse path and forwarding included),
 * and a probe packet shows whether the hooks accept one. The reason for a drop can only be read from configuration: rules of the firewall
 * (`filter.ts`), policy rules, sysctls.
 *
 * **No error without proof**: the kernel refused a look-up, a probe was lost, or rules drop the packet whatever their unknown parts do.
 */
import type { Family } from "../../../net/address.ts";
import type { BaseChain } from "./filter.ts";

export interface ReachFacts {
  readonly pods: readonly ReachPod[];
  /** The default route of each family, for any pod. */
  readonly uplinks: Readonly<Record<Family, RouteLookup>>;
  /** In the order of `pods`. */
  readonly ways: readonly PodRoutes[];
  readonly rules: Readonly<Record<Family, readonly IpRule[]>>;
  /** Routes that refuse packets, in any table; read only if a look-up was refused. */
  readonly refusing: Readonly<Record<Family, readonly RefusingRoute[]>>;
  /** By path below /proc/sys; sysctls that the kernel does not have are missing. */
  readonly sysctls: ReadonlyMap<string, string>;
  /** Links that would lose the routes from router advertisements if IPv6's forwarding were written. */
  readonly listeners: readonly string[];
  readonly chains: readonly BaseChain[];
  readonly links: readonly LinkFact[];
  /** Of the gateways and of pods. */
  readonly neighbours: readonly NeighbourFact[];
  /** Addresses of the node itself. */
  readonly ownAddresses: readonly string[];
  /** Programs that run and manage networks. */
  readonly services: readonly string[];
  /** Whether a process of the node answers DNS queries from elsewhere. */
  readonly servesDns: boolean;
  readonly probe: ProbeFacts;
  /** What could not be read, and why. */
  readonly unseen: readonly string[];
}

/** One address of a complete attachment. */
export interface ReachPod {
  /** `default/web-0 eth0` */
  readonly name: string;
  readonly hostInterface: string;
  /** In the sandbox: packets of a further interface may leave by another one. */
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
      /** Absent: main, or the kernel does not report it. */
      readonly table: string | undefined;
      /** The source address that the node would choose. */
      readonly source: string | undefined;
    }
  | { readonly kind: "refused"; readonly reason: Refusal }
  | { readonly kind: "unasked" };

export type Refusal = "unreachable host" | "unreachable network" | "invalid" | "prohibited";

export interface PodRoutes {
  /** From the pod to an address outside. */
  readonly out: RouteLookup;
  /** Back to the pod, arriving at the interface that `out` leaves by. */
  readonly back: RouteLookup;
  /** From the node to the pod, without and with a source address: rules may match on the source. */
  readonly toPod: RouteLookup;
  /** The route that misleads `toPod` or `back`: its destination, and the protocol that names its program. */
  readonly conflictingRoute: { readonly destination: string; readonly protocol: string | undefined } | undefined;
}

export interface IpRule {
  readonly priority: number;
  /** As `ip rule` prints it. */
  readonly text: string;
  readonly table: string | undefined;
  /** `blackhole`, `unreachable`, `prohibit`; absent for a look-up. */
  readonly action: string | undefined;
  /** The packets that it matches; an absent key matches all. `not`: inverts the match. */
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
  /** Addresses that the plugins did not add; only of host interfaces. */
  readonly addresses: readonly string[];
  /** Programs that others attached: `XDP program 12`, `clsact`. */
  readonly programs: readonly string[];
  /** Whether all packets that arrive are redirected to an interface that no longer exists. */
  readonly isLost: boolean;
}

export interface NeighbourFact {
  readonly address: string;
  readonly dev: string;
  readonly mac: string | undefined;
  /** The neighbour did not answer. */
  readonly isFailed: boolean;
}

export interface ProbeFacts {
  /** Why no probe was sent. */
  readonly unsent: string | undefined;
  /** Whether a probe should have been sent, but sending failed. */
  readonly isFaulty?: true;
  readonly results: readonly ProbeResult[];
  /** Packets that the reverse path filter dropped meanwhile, of any sender. */
  readonly reversePathDrops: number;
}

/** The fate of the probe packets from one pod's namespace. */
export interface ProbeResult {
  readonly pod: ReachPod;
  /** Whether connection tracking saw it leave the node; `unknown` if it does not track the node's own packets either. */
  readonly left: "yes" | "no" | "unknown";
  /** The source address that it left with. */
  readonly leftAs: string | undefined;
  /** The gateway's answer to the pod; `unknown` if it does not answer the node either. */
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
