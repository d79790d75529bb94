/** Compares the nf_tables resources of a plan with the kernel. */
import type { Sys } from "../../host/sys.ts";
import { holdsExpressions } from "../../netlink/nftables/compare.ts";
import { dumpChains, dumpRules, dumpSets } from "../../netlink/nftables/nftables.ts";
import { type ChainEntry, readChain, readRule, readSet, type SetEntry } from "../../netlink/nftables/read.ts";
import { dataTypeId, typeId } from "../../netlink/nftables/type.ts";
import type { NftChain, NftElements, NftResource, NftSetDefinition, NftTable, OwnedElement } from "../../plan/nft.ts";
import { nftOwnerComment, nftOwnerSet } from "../../plan/nft-owner.ts";
import type { Difference } from "../../plan/resource.ts";
import { compileElement, compileSet, compileStatements } from "./compile.ts";
import { findElement, idOf } from "./owner.ts";
import { NftSession } from "./session.ts";
import { isSameData, statesOf, type TableState } from "./state.ts";

/** The differences. Throws `KernelError` if the kernel does not answer. */
export function diffNft(resources: readonly NftResource[], owner: string, sys: Sys): readonly Difference[] {
  const session = new NftSession(sys);
  try {
    return statesOf(resources).flatMap((state) =>
      diffTable(session, state, owner).map((text) => ({ resource: state.table, text })),
    );
  } finally {
    session.close();
  }
}

function diffTable(session: NftSession, { table, shared, owned }: TableState, owner: string): readonly string[] {
  const id = idOf(table);
  const name = `${table.family} ${table.name}`;
  const sets = (session.dump(dumpSets(id), ["list", `sets of table ${name}`]) ?? []).map(readSet);
  const chains = (session.dump(dumpChains(id), ["list", `chains of table ${name}`]) ?? [])
    .map(readChain)
    .filter((chain) => chain.table === table.name);
  if (sets.length + chains.length === 0) return [`table ${name} is missing`];
  const sharedElements = isOutdated(session, table, shared)
    ? []
    : shared.filter(({ onlyIfOutdated }) => !onlyIfOutdated).flatMap(elementsOf);
  const index = nftOwnerSet(owner);
  return [
    ...table.sets.flatMap((set) =>
      diffSet(
        name,
        set,
        sets.find((one) => one.name === set.name),
      ),
    ),
    ...table.chains.flatMap((chain) =>
      diffChain(
        session,
        table,
        chain,
        chains.find((one) => one.name === chain.name),
      ),
    ),
    ...(owned.length > 0 && !sets.some((set) => set.name === index) ? [`set ${name} ${index} is missing`] : []),
    ...sharedElements.flatMap((element) => diffElement(session, table, element, undefined)),
    ...owned.flatMap((element) => diffElement(session, table, element, nftOwnerComment(owner))),
  ];
}

/** Whether the shared elements are those of an earlier state. */
function isOutdated(session: NftSession, table: NftTable, shared: readonly NftElements[]): boolean {
  return shared
    .filter(({ digest }) => digest)
    .flatMap(elementsOf)
    .some((one) => {
      const found = findElement(session, table, one);
      return found !== undefined && !isSameData(found.data, datumOf(table, one));
    });
}

function elementsOf({ set, elements }: NftElements): readonly OwnedElement[] {
  return elements.map((element) => ({ set, element }));
}

function datumOf(table: NftTable, { set, element }: OwnedElement): Parameters<typeof isSameData>[1] {
  const definition = table.sets.find(({ name }) => name === set);
  return definition && compileElement(definition, element)[0]?.data;
}

function diffSet(table: string, wanted: NftSetDefinition, found: SetEntry | undefined): readonly string[] {
  const what = `${wanted.data ? "map" : "set"} ${table} ${wanted.name}`;
  if (found === undefined) return [`${what} is missing`];
  const { key, data } = compileSet(wanted);
  return found.keyType === typeId(key) && found.dataType === dataTypeId(data) ? [] : [`${what} is of another type`];
}

function diffChain(
  session: NftSession,
  table: NftTable,
  wanted: NftChain,
  found: ChainEntry | undefined,
): readonly string[] {
  const what = `chain ${table.family} ${table.name} ${wanted.name}`;
  if (found === undefined) return [`${what} is missing`];
  const { hook } = wanted;
  const hooked = hook
    ? found.type === hook.type && found.hook?.name === hook.hook && found.hook.priority === hook.priority
    : found.hook === undefined;
  const rules = (session.dump(dumpRules(idOf(table), wanted.name), ["list", `${what}`]) ?? []).map(readRule);
  const missing = wanted.rules.filter(({ statements, comment }) => {
    const wanted = compileStatements(table.family, statements);
    return !rules.some((rule) => rule.comment === comment && holdsExpressions(rule.expressions, wanted));
  });
  return [
    ...(hooked ? [] : [`${what} is hooked elsewhere`]),
    ...missing.map(({ comment }) => `rule "${comment}" of ${what} is missing`),
  ];
}

function diffElement(
  session: NftSession,
  table: NftTable,
  wanted: OwnedElement,
  comment: string | undefined,
): readonly string[] {
  const what = `element { ${wanted.element.key.join(" . ")} } of ${table.family} ${table.name} ${wanted.set}`;
  const found = findElement(session, table, wanted);
  if (found === undefined) return [`${what} is missing`];
  if (comment !== undefined && found.comment !== comment)
    return [`${what} ${found.comment === undefined ? "has no owner" : `belongs to ${found.comment}`}`];
  return isSameData(found.data, datumOf(table, wanted)) ? [] : [`${what} maps to another target`];
}
