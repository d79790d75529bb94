/**
 * The rules that packets traverse, from nf_tables and from iptables.
 *
 * Tables of iptables-nft are read with its own program, because nft does not know iptables' extensions. Sets are not read (`-t`): they may be
 * long, and matches on them count as unknown anyway.
 */

import { isErrno } from "../../../host/sys.ts";
import { agentTables } from "../../../identity/names.ts";
import type { Cli } from "../../cli.ts";
import { messageOf } from "../../error.ts";
import { ownTables } from "../firewall.ts";
import { listNftTable, nftObjects } from "../nft.ts";
import type { BaseChain } from "./filter.ts";
import { readIptablesChains, tablesIn } from "./filter-iptables.ts";
import { isFilter, nftChains, readNftChains } from "./filter-nft.ts";

export interface ChainFacts {
  readonly chains: readonly BaseChain[];
  /** Whether some packets bypass connection tracking. */
  readonly hasNotrack: boolean;
  /** What could not be read. */
  readonly unseen: readonly string[];
}

const patienceMs = 30_000;

export async function gatherChains(cli: Cli): Promise<ChainFacts> {
  const [saved, legacy, listed] = await Promise.all([gatherIptables(cli), gatherLegacy(cli), listTables(cli)]);
  const known = saved.tables;
  const tables = (listed.tables ?? []).filter((table) => !known.includes(table));
  const rest = await Promise.all(tables.map((table) => readTable(cli, table)));
  return {
    chains: [...saved.chains, ...legacy.chains, ...rest.flatMap(({ chains }) => chains)],
    hasNotrack: [saved, legacy, ...rest].some((one) => one.hasNotrack),
    unseen: [...(listed.fault === undefined ? [] : [listed.fault]), ...legacy.unseen],
  };
}

/** `ip filter` for each table that has a chain which may drop packets, without our own tables. */
async function listTables(cli: Cli): Promise<{ readonly tables?: readonly string[]; readonly fault?: string }> {
  try {
    const chains = nftChains(nftObjects(await cli.program(["nft", "-j", "list", "chains"]))).filter(isFilter);
    const ours: readonly string[] = [...ownTables, ...Object.values(agentTables)];
    const tables = chains.filter(({ table }) => !ours.includes(table));
    return { tables: [...new Set(tables.map(({ family, table }) => `${family} ${table}`))] };
  } catch (error) {
    if (isErrno(error, "ENOENT")) return { fault: "rules of nf_tables: nft is not installed" };
    return { fault: `rules of nf_tables: ${messageOf(error)}` };
  }
}

/** A table that is removed meanwhile no longer drops anything. */
async function readTable(cli: Cli, table: string): Promise<Pick<ChainFacts, "chains" | "hasNotrack">> {
  const text = await listNftTable(cli, table, ["--terse"]);
  if (text === undefined) return { chains: [], hasNotrack: false };
  return { chains: readNftChains(nftObjects(text)), hasNotrack: notrack.test(text) };
}

/** The statement of nft, and the target of iptables in its two spellings. */
const notrack = /"notrack"|--notrack|-j NOTRACK/;

/** `undefined` if the program is not installed. */
async function save(cli: Cli, names: readonly string[]): Promise<string | undefined> {
  for (const name of names) {
    try {
      const { stdout } = await cli.execute([name], { env: {}, stdin: "", timeoutMs: patienceMs });
      return stdout;
    } catch (error) {
      if (!isErrno(error, "ENOENT")) throw error;
    }
  }
  return undefined;
}

const families = ["ip", "ip6"] as const;

async function gatherIptables(
  cli: Cli,
): Promise<Pick<ChainFacts, "chains" | "hasNotrack"> & { readonly tables: readonly string[] }> {
  const saved = families.map(async (family) => {
    const name = family === "ip" ? "iptables" : "ip6tables";
    const text = (await save(cli, [`${name}-nft-save`, `${name}-save`])) ?? "";
    const tables = tablesIn(text).map((table) => `${family} ${table}`);
    return { chains: readIptablesChains(text, "iptables", family), tables, hasNotrack: notrack.test(text) };
  });
  const all = await Promise.all(saved);
  return {
    chains: all.flatMap(({ chains }) => chains),
    tables: all.flatMap(({ tables }) => tables),
    hasNotrack: all.some((one) => one.hasNotrack),
  };
}

/** The file lists the existing tables of legacy iptables; its program would create them. */
const namesOfTables = { ip: "/proc/net/ip_tables_names", ip6: "/proc/net/ip6_tables_names" } as const;

async function gatherLegacy(cli: Cli): Promise<ChainFacts> {
  const read = families.map(async (family): Promise<ChainFacts> => {
    if (namesIn(cli, namesOfTables[family]).trim() === "") return { chains: [], unseen: [], hasNotrack: false };
    const name = family === "ip" ? "iptables" : "ip6tables";
    const text = await save(cli, [`${name}-legacy-save`]);
    if (text === undefined) {
      const unseen = [`rules of legacy ${name}: no ${name}-legacy-save here`];
      return { chains: [], hasNotrack: false, unseen };
    }
    const chains = readIptablesChains(text, "iptables-legacy", family);
    return { chains, hasNotrack: notrack.test(text), unseen: [] };
  });
  const all = await Promise.all(read);
  return {
    chains: all.flatMap(({ chains }) => chains),
    hasNotrack: all.some((one) => one.hasNotrack),
    unseen: all.flatMap(({ unseen }) => unseen),
  };
}

function namesIn({ sys }: Cli, path: string): string {
  try {
    return sys.readFile(path);
  } catch (error) {
    if (isErrno(error, "ENOENT", "EACCES", "EPERM")) return "";
    throw error;
  }
}
