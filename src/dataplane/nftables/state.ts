/** A plan's nf_tables resources, grouped by table. */
import type { Request } from "../../netlink/message.ts";
import type { NftElements, NftResource, NftTable, OwnedElement } from "../../plan/nft.ts";
import type { compileElement } from "./compile.ts";
import type { MissingParts } from "./missing-parts.ts";

/** The plan's resources in one table, and the knowledge of the kernel's. */
export interface TableState {
  /** All resources in the table, combined. */
  readonly table: NftTable;
  readonly shared: readonly NftElements[];
  readonly owned: readonly OwnedElement[];
  /** The missing parts; absent before the lookup. */
  missing?: MissingParts | undefined;
  /** Whether the shared sets may have outdated elements. Unknown until a transaction is refused. */
  outdated?: boolean;
  /** The owner's earlier elements, if they are to be replaced. */
  former?: readonly OwnedElement[] | undefined;
  /** The requests that move elements waiting for keys that are no longer wanted. */
  moves?: readonly Request[] | undefined;
}

/** Gathers the resources by table. */
export function statesOf(resources: readonly NftResource[]): readonly TableState[] {
  const tables = new Map<string, NftTable>();
  for (const resource of resources) {
    if (resource.kind !== "nft-table") continue;
    const key = `${resource.family} ${resource.name}`;
    const { sets = [], chains = [] } = tables.get(key) ?? {};
    tables.set(key, { ...resource, sets: [...sets, ...resource.sets], chains: [...chains, ...resource.chains] });
  }
  return [...tables.values()].map((table) => {
    const inTable = resources.filter(
      (resource): resource is NftElements =>
        resource.kind === "nft-elements" && resource.family === table.family && resource.table === table.name,
    );
    return {
      table,
      shared: inTable.filter(({ shared }) => shared),
      owned: inTable
        .filter(({ shared }) => !shared)
        .flatMap(({ set, elements }) => elements.map((element) => ({ set, element }))),
    };
  });
}

/** The data of a map's element, in register bytes. */
type Datum = ReturnType<typeof compileElement>[number]["data"];

/** Whether two data are equal; the elements of a set have `undefined`. */
export function isSameData(one: Datum, other: Datum): boolean {
  if (one === undefined || other === undefined) return one === other;
  if ("jump" in one || "jump" in other) return "jump" in one && "jump" in other && one.jump === other.jump;
  return one.length === other.length && one.every((byte, index) => byte === other[index]);
}
