/**
 * The BGP sessions of this node: the mesh of the cluster's nodes, and those that BGPPeers ask for.
 *
 * Nodes with a route reflector cluster ID are outside the mesh. A neighbour gets one session per address and port: a BGPPeer's before the
 * mesh's, and among BGPPeers one for this node before one for all nodes, then by name.
 */

import { CoreError } from "../../errors/core-error.ts";
import { parseSelector, type Selector } from "../../ipam/model/selector.ts";
import { canonicalAddress, type Family, familyOf } from "../../net/address.ts";
import { addressOf } from "../../net/prefix.ts";
import type { BgpPeer, Password } from "./resources.ts";
import { type BgpNode, type BgpSnapshot, defaultPort, type Named, NodeSettings, ownNode } from "./snapshot.ts";

export interface Session {
  /** In BIRD's configuration. Calico's: `Mesh_10_0_0_2`, `Global_10_0_0_9`, `Node_10_0_0_9_port_1790`. */
  readonly name: string;
  readonly type: "mesh" | "global" | "node";
  readonly family: Family;
  readonly neighbour: string;
  readonly port: number;
  readonly remoteAs: number;
  readonly localAs: number;
  /** The neighbour is a node of the cluster. */
  readonly isInternal: boolean;
  /** Waits for the neighbour to connect, so that two nodes do not connect to each other at once. */
  readonly isPassive: boolean;
  /** The local address; `undefined`: the kernel chooses. */
  readonly source: string | undefined;
  readonly password?: string | undefined;
  /** Of this node as the neighbour's route reflector. */
  readonly reflectorClusterId?: string | undefined;
  readonly nextHop?: "self" | "keep" | undefined;
  /** Hops to the neighbour (RFC 5082). */
  readonly ttlSecurity?: number | undefined;
  readonly restartSeconds?: number | undefined;
  readonly keepaliveSeconds?: number | undefined;
  readonly allowedLocalAsNumbers?: number | undefined;
  /** The gateway to the neighbour. */
  readonly reachableBy?: string | undefined;
  /** Names of BGPFilters, in order. */
  readonly filters: readonly string[];
}

export interface Sessions {
  readonly sessions: readonly Session[];
  /** Why a wanted session is missing: sentences for the operator. */
  readonly problems: readonly string[];
}

class InvalidPeer extends CoreError {
  override readonly name = "InvalidPeer";
  readonly kind = "invalid";
}

const families: readonly Family[] = [4, 6];

export function sessionsOf(snapshot: BgpSnapshot): Sessions {
  const problems: string[] = [];
  const self = ownNode(snapshot);
  if (self === undefined) return { sessions: [], problems: [`the datastore has no Node "${snapshot.node}"`] };
  const builder = new Builder(snapshot, self, problems);
  const byEndpoint = new Map<string, Session>();
  for (const session of [...builder.peers(), ...builder.mesh()]) {
    const endpoint = `${session.neighbour} ${session.port}`;
    if (!byEndpoint.has(endpoint)) byEndpoint.set(endpoint, session);
  }
  const sessions = [...byEndpoint.values()].sort((one, other) => (one.name < other.name ? -1 : 1));
  return { sessions, problems };
}

class Builder {
  readonly #snapshot: BgpSnapshot;
  readonly #self: BgpNode;
  readonly #settings: NodeSettings;
  readonly #problems: string[];

  constructor(snapshot: BgpSnapshot, self: BgpNode, problems: string[]) {
    this.#snapshot = snapshot;
    this.#self = self;
    this.#settings = new NodeSettings(snapshot, self);
    this.#problems = problems;
  }

  mesh(): readonly Session[] {
    const { cluster, asNumber } = this.#settings;
    if (cluster?.nodeToNodeMeshEnabled === false || this.#self.routeReflectorClusterId !== undefined) return [];
    const password = this.#passwordOf(cluster?.nodeMeshPassword, "the node-to-node mesh");
    if (password === null) return [];
    return this.#snapshot.nodes
      .filter(({ name, routeReflectorClusterId }) => name !== this.#self.name && routeReflectorClusterId === undefined)
      .filter((node) => new NodeSettings(this.#snapshot, node).asNumber === asNumber)
      .flatMap((node) => this.#between(node, "mesh", true))
      .map((session) => ({ ...session, password, restartSeconds: cluster?.nodeMeshMaxRestartTime }));
  }

  peers(): readonly Session[] {
    const byName = [...this.#snapshot.peers].sort((one, other) => (one.name < other.name ? -1 : 1));
    const wanted = byName.flatMap((peer) => {
      try {
        return this.#ofPeer(peer);
      } catch (error) {
        if (!(error instanceof CoreError)) throw error;
        this.#problems.push(`BGPPeer "${peer.name}" is ignored: ${error.message}`);
        return [];
      }
    });
    const rank = ({ type }: Session) => (type === "node" ? 0 : 1);
    return wanted.sort((one, other) => rank(one) - rank(other));
  }

  #ofPeer({ name, spec }: Named<BgpPeer>): readonly Session[] {
    if (spec.localWorkloadSelector !== undefined && spec.localWorkloadSelector !== "")
      throw new InvalidPeer("localWorkloadSelector is not supported");
    const isLocal = localTest(spec);
    const forth = isLocal(this.#self) ? this.#towards(name, spec) : [];
    const reverse = spec.reversePeering === "Auto" && !!spec.peerSelector;
    const both = reverse ? [...forth, ...this.#reverse(spec, isLocal)] : forth;
    if (both.length === 0) return [];
    const password = this.#passwordOf(spec.password, `BGPPeer "${name}"`);
    if (password === null) return [];
    return both.map((session) => ({ ...session, ...optionsOf(spec, session), password }));
  }

  /** From a node that the BGPPeer is for to its peers. */
  #towards(name: string, spec: BgpPeer): readonly Session[] {
    const type = spec.node || spec.nodeSelector ? "node" : "global";
    if (spec.peerSelector) {
      const selects = parseSelector(spec.peerSelector);
      const isPassive = spec.reversePeering === "Auto";
      return this.#others(selects).flatMap((node) => this.#between(node, type, isPassive));
    }
    const endpoint = parseEndpoint(spec.peerIP ?? "");
    if (endpoint === undefined)
      throw new InvalidPeer(`peerIP "${spec.peerIP ?? ""}" is not an address, with or without a port`);
    const node = this.#nodeAt(endpoint.address);
    if (node?.name === this.#self.name) return [];
    const remoteAs = spec.asNumber ?? (node && new NodeSettings(this.#snapshot, node).asNumber);
    if (remoteAs === undefined) throw new InvalidPeer("asNumber is missing");
    const family = familyOf(endpoint.address);
    const source = this.#self.addresses[family];
    if (source === undefined) {
      this.#problems.push(`BGPPeer "${name}" has no session: this node has no IPv${family} address`);
      return [];
    }
    const port = endpoint.port ?? (node && new NodeSettings(this.#snapshot, node).listenPort) ?? defaultPort;
    return [this.#session({ type, neighbour: endpoint.address, port, remoteAs, node, isPassive: false })];
  }

  /** From a node that the peerSelector selects, back to those that the BGPPeer is for. */
  #reverse(spec: BgpPeer, isLocal: (node: BgpNode) => boolean): readonly Session[] {
    if (!parseSelector(spec.peerSelector ?? "")(this.#self.labels)) return [];
    const type = spec.node || spec.nodeSelector ? "node" : "global";
    return this.#snapshot.nodes
      .filter((node) => node.name !== this.#self.name && isLocal(node))
      .flatMap((node) => this.#between(node, type, true));
  }

  #others(selects: Selector): readonly BgpNode[] {
    return this.#snapshot.nodes.filter(({ name, labels }) => name !== this.#self.name && selects(labels));
  }

  /** One session per family that both nodes have. */
  #between(node: BgpNode, type: Session["type"], isOneSidePassive: boolean): readonly Session[] {
    const { asNumber: remoteAs, listenPort: port } = new NodeSettings(this.#snapshot, node);
    return families.flatMap((family) => {
      const [theirs, ours] = [node.addresses[family], this.#self.addresses[family]];
      if (theirs === undefined || ours === undefined) return [];
      const neighbour = addressOf(theirs);
      // As in Calico, the node with the greater address, as text, connects.
      const isPassive = isOneSidePassive && neighbour > addressOf(ours);
      return [this.#session({ type, neighbour, port, remoteAs, node, isPassive })];
    });
  }

  #session(to: {
    readonly type: Session["type"];
    readonly neighbour: string;
    readonly port: number;
    readonly remoteAs: number;
    readonly node: BgpNode | undefined;
    readonly isPassive: boolean;
  }): Session {
    const { type, neighbour, port, remoteAs, node, isPassive } = to;
    const family = familyOf(neighbour);
    const { asNumber: localAs } = this.#settings;
    const source = this.#self.addresses[family];
    const { routeReflectorClusterId: clusterId } = this.#self;
    const reflects = clusterId !== undefined && localAs === remoteAs && node?.routeReflectorClusterId !== clusterId;
    return {
      ...{ name: sessionName(type, neighbour, port), type, family, neighbour, port, remoteAs, localAs, isPassive },
      isInternal: node !== undefined,
      source: source && addressOf(source),
      reflectorClusterId: reflects ? clusterId : undefined,
      filters: [],
    };
  }

  #nodeAt(address: string): BgpNode | undefined {
    return this.#snapshot.nodes.find(({ addresses }) =>
      families.some((family) => addressOf(addresses[family] ?? "") === address),
    );
  }

  /** `undefined`: none is wanted; `null`: it is not known, so that there must be no session. */
  #passwordOf(password: Password | undefined, of: string): string | undefined | null {
    const reference = password?.secretKeyRef;
    if (reference === undefined) return undefined;
    const value = this.#snapshot.secrets.get(`${reference.name}/${reference.key}`);
    if (value !== undefined && isQuotable(value)) return value;
    const why = value === undefined ? "does not exist or may not be read" : "has characters that BIRD cannot read";
    this.#problems.push(`${of} has no session: key "${reference.key}" of secret "${reference.name}" ${why}`);
    return null;
  }
}

function optionsOf(spec: BgpPeer, { localAs, remoteAs, source }: Session): Partial<Session> {
  const ownAs = spec.localASNumber ?? localAs;
  return {
    localAs: ownAs,
    source: spec.sourceAddress === "None" ? undefined : source,
    nextHop: nextHopOf(spec, ownAs !== remoteAs),
    ttlSecurity: spec.ttlSecurity,
    restartSeconds: spec.maxRestartTime,
    keepaliveSeconds: spec.keepaliveTime,
    allowedLocalAsNumbers: spec.numAllowedLocalASNumbers,
    reachableBy: spec.reachableBy,
    filters: spec.filters,
  };
}

function nextHopOf({ nextHopMode, keepOriginalNextHop }: BgpPeer, isExternal: boolean): "self" | "keep" | undefined {
  if (nextHopMode === "Self") return "self";
  if (nextHopMode === "Keep") return "keep";
  if (!isExternal) return undefined;
  return nextHopMode === undefined && keepOriginalNextHop ? "keep" : "self";
}

function localTest({ node, nodeSelector: selector }: BgpPeer): (candidate: BgpNode) => boolean {
  if (node) return ({ name }) => name === node;
  if (!selector) return () => true;
  const selects = parseSelector(selector);
  return ({ labels }) => selects(labels);
}

/** `"192.0.2.1"`, `"192.0.2.1:1790"`, `"2001:db8::1"` or `"[2001:db8::1]:1790"`. */
export function parseEndpoint(text: string): { readonly address: string; readonly port?: number } | undefined {
  const plain = canonicalAddress(text);
  if (plain !== undefined) return { address: plain };
  const [, bracketed, dotted, digits] = /^(?:\[([^\]]+)\]|([\d.]+)):(\d{1,5})$/.exec(text) ?? [];
  const address = canonicalAddress(bracketed ?? dotted ?? "");
  const port = Number(digits);
  return address === undefined || !(port >= 1 && port <= 65_535) ? undefined : { address, port };
}

function sessionName(type: Session["type"], neighbour: string, port: number): string {
  const prefix = { mesh: "Mesh", global: "Global", node: "Node" }[type];
  return `${prefix}_${neighbour.replace(/[.:]/g, "_")}${port === defaultPort ? "" : `_port_${port}`}`;
}

/** BIRD's strings have no escapes. */
function isQuotable(text: string): boolean {
  return /^[\x20-\x7e]{1,255}$/.test(text) && !text.includes('"');
}
