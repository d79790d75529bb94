/**
 * nf_tables resources as commands of nft(8), which create the same objects as `applyNft` on a host that has none of them.
 *
 * Owned elements include the owner's set (`src/dataplane/nftables/owner.ts`).
 */

import type {
  NftChain,
  NftElement,
  NftElements,
  NftField,
  NftResource,
  NftSetDefinition,
  NftStatement,
  NftTable,
} from "./nft.ts";
import { nftOwnerComment, nftOwnerSet } from "./nft-owner.ts";

/** The commands, each for a shell. */
export function showNft(resources: readonly NftResource[], owner: string): readonly string[] {
  return nftCommands(resources, owner).map((command) => `nft '${command.replaceAll("'", "'\\''")}'`);
}

/** The same as lines of a script for `nft -f`. */
export function nftCommands(resources: readonly NftResource[], owner: string): readonly string[] {
  const tables = resources.filter((resource) => resource.kind === "nft-table");
  const elements = resources.filter((resource) => resource.kind === "nft-elements");
  return [
    ...tables.flatMap(showTable),
    ...showIndexes(elements, owner),
    ...elements.flatMap((one) => showElements(one, owner)),
  ];
}

function showTable({ family, name, sets, chains }: NftTable): readonly string[] {
  const table = `${family} ${name}`;
  return [
    `add table ${table}`,
    ...sets.map((set) => `add ${set.data ? "map" : "set"} ${table} ${set.name} { ${describeSet(set)} }`),
    ...chains.map((chain) => `add chain ${table} ${chain.name}${describeHook(chain)}`),
    ...chains.flatMap((chain) =>
      chain.rules.map(
        ({ statements, comment }) =>
          `add rule ${table} ${chain.name} ${statements.map((one) => showStatement(family, one)).join(" ")} comment "${comment}"`,
      ),
    ),
  ];
}

function describeSet({ key, data, interval, comment }: NftSetDefinition): string {
  const parts = [`type ${key.join(" . ")}${data ? ` : ${data.join(" . ")}` : ""};`];
  if (interval) parts.push("flags interval;");
  if (comment !== undefined) parts.push(`comment "${comment}";`);
  return parts.join(" ");
}

function describeHook({ hook }: NftChain): string {
  return hook ? ` { type ${hook.type} hook ${hook.hook} priority ${hook.priority}; policy accept; }` : "";
}

function showIndexes(resources: readonly NftElements[], owner: string): readonly string[] {
  const owned = resources.filter(({ shared }) => !shared);
  const tables = [...new Set(owned.map(({ family, table }) => `${family} ${table}`))];
  return tables.flatMap((table) => {
    const lines = owned
      .filter((one) => `${one.family} ${one.table}` === table)
      .flatMap(({ set, elements }) => elements.map(({ key }) => `${set} ${key.join(" . ")}`))
      .map((line, index) => `${index + 1} comment "${line}"`);
    const set = `${table} ${nftOwnerSet(owner)}`;
    return [
      `add set ${set} { type mark; size ${lines.length}; comment "${nftOwnerComment(owner)}"; }`,
      `add element ${set} { ${lines.join(", ")} }`,
    ];
  });
}

function showElements({ family, table, set, elements, shared }: NftElements, owner: string): readonly string[] {
  if (elements.length === 0) return [];
  const comment = shared ? "" : ` comment "${nftOwnerComment(owner)}"`;
  const texts = elements.map(({ key, data }: NftElement) => {
    return `${key.join(" . ")}${comment}${data ? ` : ${data.join(" . ")}` : ""}`;
  });
  return [`add element ${family} ${table} ${set} { ${texts.join(", ")} }`];
}

function showStatement(family: string, statement: NftStatement): string {
  if ("match" in statement) return showMatch(statement.match, statement.op, statement.value);
  if ("lookup" in statement) {
    return `${statement.lookup.join(" . ")} ${statement.op === "!=" ? "!= " : ""}@${statement.set}`;
  }
  if ("verdictMap" in statement) return `${statement.verdictMap.join(" . ")} vmap @${statement.map}`;
  if ("dnatMap" in statement) return `dnat ${family} to ${statement.dnatMap.join(" . ")} map @${statement.map}`;
  if ("addressMap" in statement) {
    return `${statement.nat} ${family} to ${statement.addressMap.join(" . ")} map @${statement.map}`;
  }
  if ("masquerade" in statement)
    return statement.ports === undefined ? "masquerade" : `masquerade to :${statement.ports}`;
  if ("snat" in statement) return `snat ${family} to ${showTarget(statement.snat, statement.ports)}`;
  return "jump" in statement ? `jump ${statement.jump}` : statement.verdict;
}

/** An IPv6 address before ports is in brackets. */
function showTarget(address: string, ports: string | undefined): string {
  if (ports === undefined) return address;
  return address.includes(":") ? `[${address}]:${ports}` : `${address}:${ports}`;
}

function showMatch(field: NftField, op: "==" | "!=", value: string): string {
  const quoted = field === "iifname" || field === "oifname" ? `"${value}"` : value;
  return `${field} ${op === "!=" ? "!= " : ""}${quoted}`;
}
