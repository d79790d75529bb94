/** The programs that cut pods off, recognised by the names of their objects, and the commands that make them let pods through. */

import { hostInterfacePrefix } from "../../../identity/names.ts";
import type { Family } from "../../../net/address.ts";
import type { IpRule } from "./facts.ts";
import type { BaseChain, FilterPosition } from "./filter.ts";

interface Signature {
  readonly name: string;
  readonly chains?: RegExp;
  readonly tables?: RegExp;
  /** Whether the program sets the policy of iptables' own chains. */
  readonly setsPolicy?: true;
}

/** Calico's agent. */
export const felix = "Calico's felix";

/** The first match counts. */
const signatures: readonly Signature[] = [
  { name: "firewalld", tables: /^firewalld/, chains: /^(FORWARD|INPUT)_(direct|ZONES|POLICIES)|^FWD[IO]_/ },
  { name: "docker", tables: /^docker/, chains: /^DOCKER/, setsPolicy: true },
  { name: "ufw", chains: /^ufw6?-/, setsPolicy: true },
  { name: felix, tables: /^calico$/, chains: /^cali-/ },
  { name: "kube-router", chains: /^KUBE-(ROUTER|POD-FW|NWPLCY)/ },
  { name: "kube-proxy", tables: /^kube-proxy/, chains: /^KUBE-(?!ROUTER|POD-FW|NWPLCY)/ },
  { name: "cilium", chains: /^(OLD_)?CILIUM_/ },
  { name: "flannel", tables: /^flannel/, chains: /^FLANNEL/ },
  { name: "libvirt", tables: /^libvirt/, chains: /^LIBVIRT_/ },
  { name: "podman's netavark", tables: /^netavark/, chains: /^NETAVARK/ },
  { name: "the CNI plugin firewall", chains: /^CNI-(FORWARD|ADMIN|ISOLATION)/ },
  { name: "weave", chains: /^WEAVE/ },
  { name: "antrea", chains: /^ANTREA/ },
  { name: "tailscale", chains: /^ts-/ },
];

/** Names of programs; empty if it is none of the known ones. `services`: those that are running. */
export function culpritsOf({ base, chain, rule }: FilterPosition, services: readonly string[]): readonly string[] {
  const byTable = signatures.filter(({ tables }) => tables?.test(base.table)).map(({ name }) => name);
  if (byTable.length > 0) return byTable;
  if (rule !== undefined) {
    const target = / -[jg] (\S+)/.exec(rule)?.[1] ?? "";
    const fitting = signatures.filter(({ chains }) => chains?.test(chain) || chains?.test(target));
    return fitting.map(({ name }) => name);
  }
  if (base.backend === "nft") return [];
  const setters = signatures.filter(({ setsPolicy }) => setsPolicy);
  const there = setters.filter(({ chains }) => [...base.chains.keys()].some((name) => chains?.test(name)));
  return there.length > 0
    ? there.map(({ name }) => name)
    : setters.filter(({ name }) => services.includes(name)).map(({ name }) => name);
}

/** Shell commands that allow pods' packets. `pools`: the prefixes of the family. */
export function commandsToAllow(
  { base }: FilterPosition,
  culprits: readonly string[],
  family: Family,
  pools: readonly string[],
  inbound: "FORWARD" | "INPUT" = "FORWARD",
): string {
  if (culprits.includes("firewalld")) {
    const zone = (pool: string) => `--zone=trusted --add-source=${pool}`;
    return pools.flatMap((pool) => [`firewall-cmd ${zone(pool)}`, `firewall-cmd --permanent ${zone(pool)}`]).join("\n");
  }
  if (culprits.includes("ufw") && base.backend !== "nft") {
    const lines = (pool: string) =>
      inbound === "INPUT" ? [`ufw allow from ${pool}`] : [`ufw route allow from ${pool}`, `ufw route allow to ${pool}`];
    return pools.flatMap(lines).join("\n");
  }
  const directions = inbound === "INPUT" ? (["i"] as const) : (["i", "o"] as const);
  if (base.backend === "nft" && culprits.includes(felix)) return `nft delete table ${base.family} ${base.table}`;
  if (base.backend === "nft") {
    const where = `${base.family} ${base.table} ${base.name}`;
    return directions
      .map((way) => `nft insert rule ${where} ${way}ifname '"${hostInterfacePrefix}*"' accept`)
      .join("\n");
  }
  const program = `${family === 4 ? "iptables" : "ip6tables"}${base.backend === "iptables-legacy" ? "-legacy" : ""}`;
  if (culprits.includes(felix)) {
    return `${program}-save -t ${base.table} | grep -v -e ' cali-' -e ':cali-' | ${program}-restore -T ${base.table}`;
  }
  const chain = culprits.includes("docker") && base.chains.has("DOCKER-USER") ? "DOCKER-USER" : base.name;
  const table = base.table === "filter" ? "" : ` -t ${base.table}`;
  return directions.map((way) => `${program}${table} -I ${chain} -${way} ${hostInterfacePrefix}+ -j ACCEPT`).join("\n");
}

/** `iptables filter FORWARD`, `nft inet firewalld filter_FORWARD`. */
export function describeBase({ backend, family, table, name }: BaseChain): string {
  if (backend === "nft") return `nft ${family} ${table} ${name}`;
  return `${family === "ip6" ? backend.replace("ip", "ip6") : backend} ${table} ${name}`;
}

interface RuleSignature {
  readonly name: string;
  readonly tables: readonly string[];
  readonly marks?: readonly string[];
}

const ruleSignatures: readonly RuleSignature[] = [
  { name: "wg-quick", tables: ["51820"], marks: ["0xca6c"] },
  { name: "tailscale", tables: ["52"], marks: ["0x80000/0xff0000"] },
  { name: "NordVPN", tables: ["205"], marks: ["0xe1f1"] },
  { name: "Mullvad", tables: ["1836018789"], marks: ["0x6d6f6c65"] },
];

/** The program that usually makes such a policy rule; `undefined` if unknown. */
export function makerOfRule({ table, mark }: IpRule): string | undefined {
  return ruleSignatures.find(
    ({ tables, marks = [] }) => tables.includes(table ?? "") || (mark !== undefined && marks.includes(mark)),
  )?.name;
}

/** Programs that add routes and addresses to interfaces that they believe to manage. */
export const linkManagers = ["NetworkManager", "systemd-networkd", "dhcpcd", "connman"] as const;
