/** Port mappings in nf_tables and in iptables, by owner. */

import { descriptors } from "#plugins/descriptors";
import { attachmentOfRule, iptablesLock } from "../../../plugins/portmap/names.ts";
import { isErrno } from "../../host/sys.ts";
import type { Attachment } from "../../identity/attachment.ts";
import type { TableFamily } from "../../net/address.ts";
import { guardComment } from "../../plan/loopback-guard.ts";
import { ownerSetPrefix } from "../../plan/nft-owner.ts";
import type { Cli } from "../cli.ts";
import { messageOf } from "../error.ts";
import { listNftTable, listNftTables, nftObjects } from "./nft.ts";

export interface FirewallFacts {
  /** Why nf_tables could not be read although nft is installed. */
  readonly nftFault: string | undefined;
  readonly nftTables: readonly NftTable[];
  readonly iptables: readonly IptablesTables[];
}

export interface NftTable {
  readonly family: TableFamily;
  readonly name: string;
  /** Comments of the owners' indexes. */
  readonly owners: readonly string[];
  readonly elements: readonly NftElement[];
}

export interface NftElement {
  readonly set: string;
  /** `tcp . 8080` */
  readonly key: string;
  /** The owner. */
  readonly comment: string | undefined;
  /** The address that the port is mapped to. */
  readonly target: string | undefined;
}

export interface IptablesTables {
  readonly family: TableFamily;
  readonly entries: readonly IptablesEntry[];
  /** Rules of our guard of 127.0.0.0/8. */
  readonly guards: readonly string[];
}

/** A rule of the shared chain that jumps to an attachment's own chain. */
export interface IptablesEntry extends Attachment {
  readonly chain: string;
  /** The addresses in the chain. */
  readonly targets: readonly string[];
  /** The host ports in the chain; `hostIp` if the port is mapped on one address of the host only. */
  readonly ports: readonly {
    readonly protocol: string;
    readonly port: number;
    readonly hostIp: string | undefined;
  }[];
}

const families = ["ip", "ip6"] as const;

/** Our tables, in families `ip` and `ip6`. */
export const ownTables: readonly string[] = descriptors.flatMap(({ traces }) => traces.tables);

export async function gatherFirewall(cli: Cli): Promise<FirewallFacts> {
  const [nft, iptables] = await Promise.all([gatherNft(cli), gatherIptables(cli)]);
  return { ...nft, iptables };
}

async function gatherNft(cli: Cli): Promise<Pick<FirewallFacts, "nftFault" | "nftTables">> {
  try {
    const listed = await listNftTables(cli);
    const ours = families.flatMap((family) => ownTables.map((name) => ({ family, name })));
    const found = ours.filter(({ family, name }) => listed.includes(`${family} ${name}`));
    const tables = await Promise.all(found.map(({ family, name }) => readTable(cli, family, name)));
    return { nftFault: undefined, nftTables: tables.flat() };
  } catch (error) {
    if (isErrno(error, "ENOENT")) return { nftFault: undefined, nftTables: [] };
    return { nftFault: messageOf(error), nftTables: [] };
  }
}

/** A table that is removed meanwhile is omitted. Throws if nft is not installed or fails. */
export async function readTable(cli: Cli, family: TableFamily, name: string): Promise<readonly NftTable[]> {
  const text = await listNftTable(cli, `${family} ${name}`);
  if (text === undefined) return [];
  const sets = nftObjects(text).flatMap((object) => ((object.set ?? object.map) as NftSet | undefined) ?? []);
  const isIndex = (set: NftSet) => set.name.startsWith(ownerSetPrefix);
  return [
    {
      family,
      name,
      owners: sets.filter(isIndex).map(({ comment = "" }) => comment),
      elements: sets
        .filter((set) => !isIndex(set))
        .flatMap((set) => (set.elem ?? []).map((element) => readElement(set.name, element))),
    },
  ];
}

interface NftSet {
  readonly name: string;
  readonly comment?: string;
  readonly elem?: readonly unknown[];
}

/** An element of a set is a value, one of a map is a pair; both are wrapped if they have a comment. */
function readElement(set: string, element: unknown): NftElement {
  const [key, data] = Array.isArray(element) ? element : [element, undefined];
  const wrapped = (key as { readonly elem?: { readonly val: unknown; readonly comment?: string } }).elem;
  const target = data === undefined ? undefined : wordsOf(data)[0];
  return { set, key: wordsOf(wrapped?.val ?? key).join(" . "), comment: wrapped?.comment, target };
}

function wordsOf(value: unknown): readonly string[] {
  if (typeof value !== "object" || value === null) return [String(value)];
  const { concat, prefix } = value as {
    readonly concat?: readonly unknown[];
    readonly prefix?: { readonly addr: string; readonly len: number };
  };
  if (prefix !== undefined) return [`${prefix.addr}/${prefix.len}`];
  return concat === undefined ? [JSON.stringify(value)] : concat.map(String);
}

async function gatherIptables(cli: Cli): Promise<readonly IptablesTables[]> {
  if (cli.sys.stat(iptablesLock) === undefined) return [];
  const saved = families.map(async (family) => {
    try {
      return [readIptables(family, await cli.program([family === "ip" ? "iptables-save" : "ip6tables-save"]))];
    } catch (error) {
      // As in the plugin: without the program, there are no rules.
      if (isErrno(error, "ENOENT")) return [];
      throw error;
    }
  });
  return (await Promise.all(saved)).flat();
}

/** Parses the output of `iptables-save`. */
export function readIptables(family: TableFamily, text: string): IptablesTables {
  const lines = text.split("\n");
  const entries = new Map<string, IptablesEntry>();
  for (const line of lines) {
    const chain = /^-A CNI-HOSTPORT-DNAT .* -j (\S+)$/.exec(line)?.[1];
    const attachment = attachmentOfRule(line);
    if (chain === undefined || attachment === undefined) continue;
    const rules = lines.filter((rule) => rule.startsWith(`-A ${chain} `));
    const targets = [...new Set(rules.flatMap(targetOf))];
    entries.set(chain, { ...attachment, chain, targets, ports: rules.flatMap(portOf) });
  }
  const guards = lines.filter((line) => line.startsWith("-A PREROUTING ") && line.includes(guardComment));
  return { family, entries: [...entries.values()], guards };
}

function portOf(rule: string): IptablesEntry["ports"] {
  const [, hostIp, protocol, port] = / (?:-d ([^ /]+)\S* )?-p (\S+) .*--dport (\d+) -j DNAT /.exec(rule) ?? [];
  return protocol === undefined ? [] : [{ protocol, port: Number(port), hostIp }];
}

function targetOf(rule: string): readonly string[] {
  const [, six, four] = / --to-destination (?:\[([^\]]+)\]|([^:\s]+)):\d+/.exec(rule) ?? [];
  const target = six ?? four;
  return target === undefined ? [] : [target];
}
