/**
 * Host ports must not capture packets to Kubernetes services whose addresses are on the node.
 *
 * kube-proxy translates packets to services before host ports see them (`tables.ts`), except in IPVS mode. There the addresses of all services
 * are on the link kube-ipvs0, IPVS takes the packets after the nat hooks, and an ACCEPT in kube-proxy's iptables chain keeps host ports away.
 * An ACCEPT ends only its own table. So in this mode host ports are in iptables, behind that chain, as the reference plugin's are, and host
 * ports that nftables had before kube-proxy started are moved.
 */

import { NodeFacts } from "../../src/dataplane/node-facts.ts";
import type { Sys } from "../../src/host/sys.ts";
import type { Attachment } from "../../src/identity/attachment.ts";
import { formatAddress, type TableFamily, tableFamilies } from "../../src/net/address.ts";
import type { FoundElement } from "../../src/plan/nft.ts";
import type { Context } from "../../src/plugin/plugin.ts";
import type { Backend } from "./backend.ts";
import { defaultMarkBit, type Mapping, type PortmapConf } from "./conf.ts";
import { iptables } from "./iptables.ts";
import { dnatChain } from "./iptables-rules.ts";
import { mappingOf } from "./mapped.ts";
import { elementsIn, holderOf, nftables } from "./nftables.ts";
import { tableNames } from "./tables.ts";
import type { Target } from "./target.ts";

/** Exists while kube-proxy is in IPVS mode (pkg/proxy/ipvs in Kubernetes). */
const serviceLink = "/proc/sys/net/ipv4/conf/kube-ipvs0";
/** kube-proxy's chain in table nat, in its iptables and IPVS modes. */
const serviceChain = "KUBE-SERVICES";
const translatingChain = "KUBE-NODEPORTS";

/** What an ADD must know of the nat table of iptables. */
export interface Nat {
  /** Only an ACCEPT in kube-proxy's chain keeps host ports away from services (IPVS mode). */
  readonly acceptsServices: boolean;
  /** It has host ports, of the Go plugin or of Tortie. */
  readonly hasHostPorts: boolean;
}

/** Sends one request to the kernel. For iptables-legacy it tests for kube-proxy's link instead. */
export function readNat(among: readonly TableFamily[], sys: Sys): Nat {
  const names = [serviceChain, translatingChain, dnatChain];
  const there = new NodeFacts(sys).hasNft(
    among.flatMap((family) => names.map((chain) => ({ family, table: "nat", chain }))),
  );
  const has = (at: number, name: number): boolean => there[names.length * at + name] === true;
  return {
    acceptsServices: hasServiceLink(sys) || among.some((_, at) => has(at, 0) && !has(at, 1)),
    hasHostPorts: among.some((_, at) => has(at, 2)),
  };
}

/** The back end that serves the configuration on this node. */
export function backendFor(
  conf: PortmapConf,
  { acceptsServices }: Nat,
  among: readonly TableFamily[],
  { sys, log }: Context,
): Backend {
  if (conf.backend === "iptables") return iptables;
  if (!acceptsServices) return nftables;
  const obstacle = !among.every((family) => new NodeFacts(sys).hasIptables(family))
    ? "iptables is not installed"
    : among.some((family) => conf.statements[family].length > 0)
      ? "the conditions are in nftables' language"
      : undefined;
  if (obstacle === undefined) return iptables;
  log.warning("host ports take packets for services of kube-proxy in IPVS mode", () => ({ reason: obstacle }));
  return nftables;
}

/** Whether kube-proxy's link exists: one system call. */
export function hasServiceLink(sys: Sys): boolean {
  return sys.stat(serviceLink) !== undefined;
}

/**
 * Moves host ports from nftables to iptables, one attachment at a time. The rules are added before the elements are removed, so the ports work
 * all the time, and the next ADD resumes an interrupted move. What cannot be moved stays and is logged.
 */
export function moveToIptables({ sys, log }: Context): void {
  if (
    !new NodeFacts(sys).hasNft(tableNames).includes(true) ||
    !tableFamilies.some((family) => new NodeFacts(sys).hasIptables(family))
  )
    return;
  const tried = new Set<string>();
  // A removal may hand ports to a waiting attachment, so look again.
  for (;;) {
    const next = tableFamilies.flatMap((family) => holdersIn(family, sys)).find((holder) => !tried.has(holder));
    if (next === undefined) return;
    tried.add(next);
    try {
      move(next, sys);
    } catch (error) {
      log.warning("cannot move host ports to iptables", () => ({ holder: next, error: String(error) }));
    }
  }
}

function move(comment: string, sys: Sys): void {
  const attachment = holderOf(comment);
  if (attachment === undefined) throw new Error("whose they are is not known");
  for (const family of tableFamilies) {
    const wanted = readMappings(attachment, comment, family, sys);
    if (wanted !== undefined) iptables.add(wanted, [], sys);
  }
  nftables.del(attachment, tableFamilies, sys);
}

function holdersIn(family: TableFamily, sys: Sys): readonly string[] {
  return ["ports", "hostip_ports"].flatMap((set) => elementsIn(family, set, sys).flatMap(({ holder }) => holder ?? []));
}

/** Reads an attachment's mappings back from the maps. Throws if they have conditions. */
function readMappings(attachment: Attachment, comment: string, family: TableFamily, sys: Sys) {
  const owned = (set: string): readonly FoundElement[] =>
    elementsIn(family, set, sys).filter(({ holder }) => holder === comment);
  if (owned("conditions").length + owned("hostip_conditions").length > 0) {
    throw new Error("their conditions are in nftables' language");
  }
  const bytes = family === "ip" ? 4 : 16;
  const held = [...owned("ports"), ...owned("hostip_ports")].flatMap(({ key, data }) => (data ? [{ key, data }] : []));
  const [first] = held;
  if (first === undefined) return undefined;
  const address = formatAddress(first.data.subarray(0, bytes));
  const mappings = held.map(
    ({ key, data }): Mapping => ({
      ...mappingOf(key),
      containerPort: ((data[bytes] ?? 0) << 8) | (data[bytes + 1] ?? 0),
      families: [family],
    }),
  );
  const masqAll = owned("masq_all").length > 0;
  const conf: PortmapConf = {
    backend: "iptables",
    snat: masqAll || owned("hairpin").length > 0,
    masqAll,
    markMasqBit: defaultMarkBit,
    externalSetMarkChain: undefined,
    conditions: { ip: [], ip6: [] },
    statements: { ip: [], ip6: [] },
    mappings,
  };
  const target: Target = { family, address, subnet: `${address}/${8 * bytes}` };
  return { attachment, conf, targets: [target], hasEnded: () => false };
}
