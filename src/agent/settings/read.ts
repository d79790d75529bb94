/**
 * Reads the agent's settings from environment variables. **Reports all errors at once**, each with its reason, and also settings that have no
 * effect: a misspelt name must not go unnoticed.
 */

import type { NetworkSettings } from "../../cluster-network/network-settings.ts";
import { CoreError } from "../../errors/core-error.ts";
import { defaultBlockSize } from "../../ipam/model/pool.ts";
import type { Family } from "../../net/address.ts";
import { lengthOf } from "../../net/prefix.ts";
import { defaultSocket } from "../../node-protocol/messages.ts";
import { type ClusterSettings, type Environment, InvalidSetting, readSettings } from "../../store/cluster/settings.ts";
import { type Method, parseMethod } from "../address/method.ts";
import { type CniKubeconfig, cniContradictions, cniKubeconfigOf } from "./cni.ts";
import { ofFelix, ofService, refusedSettings, settingPrefix } from "./others.ts";
import { datastoreShape, type Settings, settingsSchema } from "./schema.ts";
import type { LogLevel } from "./values.ts";

export interface AgentSettings {
  readonly cluster: ClusterSettings;
  /** `undefined`: from its file or the host name. */
  readonly nodename: string | undefined;
  readonly nodenameFile: string;
  /** Whether it serves every node that a request names. */
  readonly nodenameFromRequest: boolean;
  readonly socket: string;
  readonly addresses: Readonly<Record<Family, OwnAddress>>;
  /** How often addresses are detected again; 0: only when an interface changes. */
  readonly detectionIntervalMs: number;
  /** Whether to record addresses in the Node: Calico records none if another program manages the routes. */
  readonly recordsAddresses: boolean;
  /** Whether to reject an address that another Node has. */
  /** Recorded in the Node; `undefined`: the Node's stays. */
  readonly asNumber: number | undefined;
  readonly checksAddresses: boolean;
  /** Types of the cluster, for ClusterInformation. */
  readonly clusterTypes: readonly string[];
  readonly waitsForDatastore: boolean;
  /** Pools to create for a family that has none. */
  readonly pools: readonly DefaultPool[];
  /** `undefined`: it leaves the node's routes alone. */
  readonly network: NetworkRole | undefined;
  /** `undefined`: it does not run BIRD. */
  readonly bgp: BgpRole | undefined;
  readonly health: Listener | undefined;
  readonly metrics: Listener | undefined;
  /** How long an address must look like a leak before it is released; 0: only those of nodes that are gone are. */
  readonly leakGraceSeconds: number;
  /** Below which pods have status files; `undefined`: they have none. */
  readonly statusPrefix: string | undefined;
  /** `undefined`: it keeps no kubeconfig for plugins. */
  readonly cniKubeconfig: CniKubeconfig | undefined;
  readonly logLevel: LogLevel;
}

export const defaultLeakGraceSeconds = 900;

export interface OwnAddress {
  /** `unset`: the address in the Node, and for IPv4 without one `autodetect`. Otherwise an address, with or without a prefix length. */
  readonly wanted: string;
  readonly method: Method;
}

/** What the agent does for the network between nodes. */
export interface NetworkRole {
  readonly settings: NetworkSettings;
  /** Whether BGP carries the routes of pools without encapsulation. */
  readonly usesBgp: boolean;
  readonly hasIpv6: boolean;
  /** 0: never. */
  readonly refreshMs: number;
  /** The path of `tortie-net`. */
  readonly program: string;
}

/** How the agent runs BIRD. */
export interface BgpRole {
  /** An ID, or `"hash"`; `undefined`: the node's address. */
  readonly routerId: string | undefined;
  /** The path or name of BIRD's program. */
  readonly program: string;
  readonly directory: string;
  readonly secretsDirectory: string;
}

export interface DefaultPool {
  readonly family: Family;
  /** `undefined`: a CIDR that does not overlap the node's networks. */
  readonly cidr: string | undefined;
  readonly spec: Readonly<Record<string, unknown>>;
}

export interface Listener {
  /** `undefined`: all addresses. */
  readonly host: string | undefined;
  readonly port: number;
}

/** All invalid settings. */
export class InvalidSettings extends CoreError {
  override readonly name = "InvalidSettings";
  readonly kind = "invalid";
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(faults.join("\n"));
    this.faults = faults;
  }
}

export interface ReadSettings {
  readonly settings: AgentSettings;
  /** Settings that have no effect: a sentence for each. */
  readonly unused: readonly string[];
}

/** Throws `InvalidSettings`. An empty variable counts as not set, as in Calico. */
export function readAgentSettings(environment: Environment): ReadSettings {
  const given = Object.fromEntries(
    Object.entries(environment).filter(([, value]) => value !== undefined && value !== ""),
  );
  const parsed = settingsSchema.safeParse(given);
  const faults = [...refusalsIn(given), ...(parsed.error?.issues ?? []).map((issue) => faultOf(issue, given))];
  const cluster = clusterIn(given, faults);
  const settings = parsed.data ?? {};
  faults.push(...contradictionsIn(settings), ...cniContradictions(settings, cluster));
  if (faults.length > 0 || cluster === undefined) throw new InvalidSettings(faults);
  return { settings: agentSettings(settings, cluster), unused: unusedIn(given) };
}

type Given = Readonly<Record<string, string | undefined>>;

function faultOf({ path, message }: { readonly path: readonly PropertyKey[]; readonly message: string }, given: Given) {
  const name = String(path[0]);
  return new InvalidSetting(name, given[name] ?? "", message).message;
}

function refusalsIn(given: Given): readonly string[] {
  return Object.entries(refusedSettings).flatMap(([name, { accepts, reason }]) => {
    const value = given[name];
    if (value === undefined || accepts?.test(value)) return [];
    return [`cannot honour ${name}=${JSON.stringify(value)}: ${reason}`];
  });
}

function clusterIn(given: Given, faults: string[]): ClusterSettings | undefined {
  try {
    return readSettings(given);
  } catch (error) {
    if (!(error instanceof InvalidSetting)) throw error;
    faults.push(error.message);
    return undefined;
  }
}

function contradictionsIn(settings: Settings): readonly string[] {
  const found: string[] = [];
  for (const name of ["CALICO_IPV4POOL_CIDR", "CALICO_IPV6POOL_CIDR"] as const) {
    if (settings.NO_DEFAULT_POOLS !== true || settings[name] === undefined) continue;
    found.push(`cannot use ${name} beside NO_DEFAULT_POOLS=true: no pool would be made of it`);
  }
  const { CALICO_IPV4POOL_IPIP: ipip = "Never", CALICO_IPV4POOL_VXLAN: vxlan = "Never" } = settings;
  if (ipip !== "Never" && vxlan !== "Never") {
    found.push("cannot use CALICO_IPV4POOL_IPIP beside CALICO_IPV4POOL_VXLAN: a pool has one encapsulation");
  }
  for (const prefix of ["CALICO_IPV4POOL", "CALICO_IPV6POOL"] as const) {
    const cidr = settings[`${prefix}_CIDR`] ?? "none";
    const size = settings[`${prefix}_BLOCK_SIZE`] ?? 128;
    if (cidr === "none" || lengthOf(cidr) <= size) continue;
    found.push(
      `cannot use ${prefix}_BLOCK_SIZE="${size}" beside ${prefix}_CIDR="${cidr}": a block would be larger than it`,
    );
  }
  const { CALICO_NETWORKING_BACKEND: backend = "none", TORTIE_NODENAME_FROM_REQUEST: isMany = false } = settings;
  if (isMany && backend !== "none") {
    found.push(
      `cannot use CALICO_NETWORKING_BACKEND="${backend}" beside TORTIE_NODENAME_FROM_REQUEST=true: the routes are those of one node`,
    );
  }
  return found;
}

function unusedIn(given: Given): readonly string[] {
  return Object.keys(given).flatMap((name) => {
    const isKnown = name in settingsSchema.shape || name in refusedSettings || isPrefixed(name);
    if (isKnown || !settingPrefix.test(name) || ofService.test(name)) return [];
    const why = ofFelix.test(name) ? "this agent does nothing that it could set" : "it is not known";
    return [`${name} is not used: ${why}`];
  });
}

/** Calico accepts the settings of the datastore under both names. */
function isPrefixed(name: string): boolean {
  return name.startsWith("CALICO_") && name.slice("CALICO_".length) in datastoreShape;
}

const firstFound = parseMethod("first-found") as Method;

function agentSettings(settings: Settings, cluster: ClusterSettings): AgentSettings {
  return {
    cluster,
    nodename: settings.NODENAME,
    nodenameFromRequest: settings.TORTIE_NODENAME_FROM_REQUEST ?? false,
    socket: settings.TORTIE_NODE_SOCKET ?? defaultSocket,
    nodenameFile: settings.CALICO_NODENAME_FILE ?? "/var/lib/calico/nodename",
    addresses: {
      4: { wanted: settings.IP ?? "unset", method: settings.IP_AUTODETECTION_METHOD ?? firstFound },
      6: { wanted: settings.IP6 ?? "unset", method: settings.IP6_AUTODETECTION_METHOD ?? firstFound },
    },
    detectionIntervalMs: settings.AUTODETECT_POLL_INTERVAL ?? 60_000,
    recordsAddresses: settings.CALICO_NETWORKING_BACKEND !== "none",
    asNumber: settings.AS,
    checksAddresses: settings.DISABLE_NODE_IP_CHECK !== true,
    clusterTypes: (settings.CLUSTER_TYPE ?? "").split(",").filter((type) => type !== ""),
    waitsForDatastore: settings.WAIT_FOR_DATASTORE ?? false,
    pools: settings.NO_DEFAULT_POOLS === true ? [] : [...poolOf(settings, 4), ...poolOf(settings, 6)],
    network: networkOf(settings),
    bgp: bgpOf(settings),
    health: settings.FELIX_HEALTHENABLED
      ? { host: settings.FELIX_HEALTHHOST ?? "localhost", port: settings.FELIX_HEALTHPORT ?? 9099 }
      : undefined,
    metrics: settings.FELIX_PROMETHEUSMETRICSENABLED
      ? { host: settings.FELIX_PROMETHEUSMETRICSHOST, port: settings.FELIX_PROMETHEUSMETRICSPORT ?? 9091 }
      : undefined,
    leakGraceSeconds: settings.TORTIE_LEAK_GRACE_PERIOD ?? defaultLeakGraceSeconds,
    statusPrefix: settings.FELIX_ENDPOINTSTATUSPATHPREFIX,
    cniKubeconfig: cniKubeconfigOf(settings),
    logLevel: settings.FELIX_LOGSEVERITYSCREEN ?? "info",
  };
}

/** Only on request, although Calico's default is `bird`: an agent without this setting changes no route. */
function networkOf(settings: Settings): NetworkRole | undefined {
  const { CALICO_NETWORKING_BACKEND: backend = "none" } = settings;
  if (backend === "none") return undefined;
  return {
    settings: {
      vxlanMTU: settings.FELIX_VXLANMTU,
      vxlanMTUV6: settings.FELIX_VXLANMTUV6,
      vxlanVNI: settings.FELIX_VXLANVNI,
      vxlanPort: settings.FELIX_VXLANPORT,
      ipipMTU: settings.FELIX_IPINIPMTU,
      programClusterRoutes: settings.FELIX_PROGRAMCLUSTERROUTES,
      featureDetectOverride: settings.FELIX_FEATUREDETECTOVERRIDE,
      natOutgoingExclusions: settings.FELIX_NATOUTGOINGEXCLUSIONS,
      natPortRange: settings.FELIX_NATPORTRANGE,
      natOutgoingAddress: settings.FELIX_NATOUTGOINGADDRESS,
      iptablesNATOutgoingInterfaceFilter: settings.FELIX_IPTABLESNATOUTGOINGINTERFACEFILTER,
      floatingIPs: settings.FELIX_FLOATINGIPS,
      workloadSourceSpoofing: settings.FELIX_WORKLOADSOURCESPOOFING,
    },
    usesBgp: backend === "bird",
    hasIpv6: settings.FELIX_IPV6SUPPORT ?? true,
    refreshMs: (settings.FELIX_ROUTEREFRESHINTERVAL ?? 90) * 1000,
    program: settings.TORTIE_NET ?? "/usr/local/lib/tortie/tortie-net",
  };
}

function bgpOf(settings: Settings): BgpRole | undefined {
  if (settings.CALICO_NETWORKING_BACKEND !== "bird") return undefined;
  return {
    routerId: settings.CALICO_ROUTER_ID,
    program: settings.TORTIE_BIRD ?? "bird",
    directory: settings.TORTIE_BIRD_DIRECTORY ?? "/run/tortie/bird",
    secretsDirectory: settings.TORTIE_SECRETS ?? "/etc/tortie/secrets",
  };
}

/** As Calico creates them at start. */
function poolOf(settings: Settings, family: Family): readonly DefaultPool[] {
  const prefix = `CALICO_IPV${family}POOL` as const;
  const cidr = settings[`${prefix}_CIDR`];
  if (cidr === "none" || (family === 6 && settings.FELIX_IPV6SUPPORT === false)) return [];
  const spec = {
    vxlanMode: settings[`${prefix}_VXLAN`] ?? "Never",
    ipipMode: (family === 4 ? settings.CALICO_IPV4POOL_IPIP : undefined) ?? "Never",
    natOutgoing: settings[`${prefix}_NAT_OUTGOING`] ?? family === 4,
    ...(settings[`${prefix}_DISABLE_BGP_EXPORT`] === true && { disableBGPExport: true }),
    // A pool is at least one block.
    blockSize:
      settings[`${prefix}_BLOCK_SIZE`] ?? Math.max(defaultBlockSize[family], cidr === undefined ? 0 : lengthOf(cidr)),
    nodeSelector: settings[`${prefix}_NODE_SELECTOR`] ?? "all()",
    allowedUses: ["Workload", "Tunnel"],
    assignmentMode: "Automatic",
  };
  return [{ family, cidr, spec }];
}
