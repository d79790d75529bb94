/** The nf_tables part of a node's plan: a transaction for each table, which adds what is missing and, of the scopes, removes what is not wanted. */
import { hostPrefix } from "../../net/prefix.ts";
import type { Request } from "../../netlink/message.ts";
import { holdsExpressions } from "../../netlink/nftables/compare.ts";
import {
  deleteElements,
  dumpElements,
  flushSet,
  newElements,
  type SetElement,
} from "../../netlink/nftables/elements.ts";
import { deleteTable, dumpRules, flushChain, getTable } from "../../netlink/nftables/nftables.ts";
import { readElements, readRule } from "../../netlink/nftables/read.ts";
import { type DataType, decodeFields } from "../../netlink/nftables/type.ts";
import type { NftChain, NftElements, NftSetDefinition, NftTable } from "../../plan/nft.ts";
import type { NodeResource, NodeResourceOf, Scope } from "../../plan/node-plan.ts";
import { KernelError, MissingError } from "../errors.ts";
import { compileElement, compileStatements } from "../nftables/compile.ts";
import { missingFeature } from "../nftables/missing-feature.ts";
import { type MissingParts, missingParts, repairRequests } from "../nftables/missing-parts.ts";
import { chunks, idOf } from "../nftables/owner.ts";
import { ENOENT, isTransient, maxAttempts, NftSession, queryNft } from "../nftables/session.ts";
import { statesOf } from "../nftables/state.ts";
import { ruleRequests } from "../nftables/table.ts";
import { forgetMovedFlows } from "./flows.ts";
import type { Pass } from "./pass.ts";

type TableResource = NodeResourceOf<"nft-table" | "nft-elements">;

/** What a transaction changes, by resource. */
interface Changes {
  readonly requests: readonly Request[];
  readonly changed: number;
  readonly removed: readonly string[];
  /** Destinations that are translated in another way from now on. */
  readonly translated?: readonly string[];
}

function describeTable(resource: TableResource): string {
  const { family } = resource;
  return resource.kind === "nft-table"
    ? `table ${family} ${resource.name}`
    : `set ${family} ${resource.table} ${resource.set}`;
}

/** `scopes`: those whose unwanted elements are removed. */
export function makeTables(resources: readonly TableResource[], scopes: readonly Scope[], pass: Pass): void {
  if (resources.length === 0) return;
  const states = statesOf(resources);
  for (const resource of resources) {
    const { family } = resource;
    const name = resource.kind === "nft-table" ? resource.name : resource.table;
    if (states.some(({ table }) => table.family === family && table.name === name)) continue;
    const what = describeTable(resource);
    pass.fail(what, new MissingError(["fill", what], "the plan does not contain its table"), resource);
  }
  let session: NftSession | undefined;
  try {
    for (const { table } of states) {
      const mine = resources.filter((one) => one.family === table.family && nameOf(one) === table.name);
      try {
        session ??= new NftSession(pass.sys);
        makeTable(session, table, mine, scopes, pass);
      } catch (error) {
        for (const resource of mine) pass.fail(describeTable(resource), error, resource);
      }
    }
  } finally {
    session?.close();
  }
}

function nameOf(resource: TableResource): string {
  return resource.kind === "nft-table" ? resource.name : resource.table;
}

function makeTable(
  session: NftSession,
  table: NftTable,
  resources: readonly TableResource[],
  scopes: readonly Scope[],
  pass: Pass,
): void {
  const sets = resources.filter((one) => one.kind === "nft-elements");
  for (let attempt = 0; ; attempt++) {
    const missing = missingParts(session, table);
    const parts = [
      tableChanges(session, table, missing),
      ...sets.map((one) => setChanges(session, table, one, missing, isScoped(one, scopes))),
    ];
    const requests = parts.flatMap((part) => part.requests);
    if (requests.length === 0) return;
    const [refused] = session.commit(requests);
    if (refused === undefined) {
      for (const { changed, removed } of parts) {
        pass.applied += changed;
        pass.removed.push(...removed);
      }
      forgetMovedFlows(
        parts.flatMap(({ translated = [] }) => translated),
        pass,
      );
      return;
    }
    if (attempt + 1 < maxAttempts && isTransient(refused.errno)) continue;
    const request = requests[refused.index];
    throw (
      (request && missingFeature(request, refused)) ??
      new KernelError(["apply", `table ${table.family} ${table.name}`], refused)
    );
  }
}

function isScoped({ family, table, set }: NftElements, scopes: readonly Scope[]): boolean {
  return scopes.some(
    (scope) => scope.kind === "elements" && scope.family === family && scope.table === table && scope.set === set,
  );
}

/** Creates what is missing, and replaces the rules of a chain that has others. */
function tableChanges(session: NftSession, table: NftTable, missing: MissingParts | undefined): Changes {
  const fresh = [...(missing?.missing.chains ?? []), ...(missing?.emptied ?? [])];
  const outdated = table.chains.filter((chain) => !fresh.includes(chain) && !hasRules(session, table, chain));
  const requests = [
    ...(missing ? repairRequests(table, missing, 1) : []),
    ...outdated.flatMap((chain) => [flushChain(idOf(table), chain.name), ...ruleRequests(table, chain)]),
  ];
  return { requests, changed: requests.length > 0 ? 1 : 0, removed: [] };
}

/** Whether the chain has these rules in this order, and no others. */
function hasRules(session: NftSession, table: NftTable, { name, rules }: NftChain): boolean {
  const what = `rules of chain ${table.family} ${table.name} ${name}`;
  const found = (session.dump(dumpRules(idOf(table), name), ["list", what]) ?? []).map(readRule);
  return (
    found.length === rules.length &&
    rules.every(({ statements, comment }, at) => {
      const rule = found[at];
      return (
        rule?.comment === comment && holdsExpressions(rule.expressions, compileStatements(table.family, statements))
      );
    })
  );
}

function setChanges(
  session: NftSession,
  table: NftTable,
  resource: NftElements,
  missing: MissingParts | undefined,
  removesOthers: boolean,
): Changes {
  const definition = table.sets.find(({ name }) => name === resource.set);
  const what = describeTable(resource);
  if (definition === undefined) throw new MissingError(["fill", what], "its table has no such set in the plan");
  const set = { ...idOf(table), set: resource.set };
  const isNew = missing?.missing.sets.includes(definition) === true;
  const replies = isNew ? [] : (session.dump(dumpElements(set), ["list", what]) ?? []);
  const found = new Map(replies.flatMap(readElements).map((element) => [textOf(element), element]));
  const wanted = new Map(
    resource.elements.flatMap((element) => compileElement(definition, element)).map((one) => [textOf(one), one]),
  );
  const added = [...wanted].filter(([text]) => !found.has(text)).map(([, element]) => element);
  const others = [...found].filter(([text]) => !wanted.has(text)).map(([, element]) => element);
  // A map refuses another value for a key, so the former has to go whatever the scope.
  const keys = new Set(added.map(keyText));
  const removed = others.filter((element) => removesOthers || keys.has(keyText(element)));
  if (added.length + removed.length === 0) return { requests: [], changed: 0, removed: [] };
  const texts = removed
    .filter(({ intervalEnd }) => !intervalEnd)
    .map((one) => `element ${what} ${shown(definition, one)}`);
  const kept = others.filter((element) => !removed.includes(element));
  const changes = {
    ...{ changed: added.length > 0 ? 1 : 0, removed: texts },
    translated: translatedBy(resource, definition, [...added, ...removed]),
  };
  // Intervals that overlap for a moment are refused, so all of them are written.
  if (definition.interval) {
    const all = [...wanted.values(), ...kept];
    return { requests: [flushSet(set), ...chunks(all).map((part) => newElements(set, part, false))], ...changes };
  }
  return {
    requests: [
      ...chunks(removed.map(({ key }) => ({ key }))).map((part) => deleteElements(set, part)),
      ...chunks(added).map((part) => newElements(set, part, false)),
    ],
    ...changes,
  };
}

/**
 * Changes a set from one list of elements to another without a look at it. `false`, without having changed anything, if the kernel refuses, because
 * it holds another list, and for intervals.
 */
export function changeSet(former: NftElements, now: NftElements, all: readonly TableResource[], pass: Pass): boolean {
  const { family, table, set: name } = now;
  const tables = all.filter((one) => one.kind === "nft-table" && one.family === family && one.name === table);
  const definition = tables
    .flatMap((one) => (one.kind === "nft-table" ? one.sets : []))
    .find((set) => set.name === name);
  if (definition === undefined || definition.interval) return false;
  const byText = ({ elements }: NftElements) => new Map(elements.map((one) => [`${one.key.join()}: ${one.data}`, one]));
  const [had, wants] = [byText(former), byText(now)];
  const compiled = (elements: typeof had, others: typeof had) =>
    [...elements].flatMap(([text, one]) => (others.has(text) ? [] : compileElement(definition, one)));
  const removed = compiled(had, wants).map(({ key }) => ({ key }));
  const added = compiled(wants, had);
  if (removed.length + added.length === 0) return true;
  const set = { family, table, set: name };
  const session = new NftSession(pass.sys);
  try {
    const refused = session.commit([
      ...chunks(removed).map((part) => deleteElements(set, part)),
      ...chunks(added).map((part) => newElements(set, part, false)),
    ]);
    if (refused.length > 0) return false;
  } finally {
    session.close();
  }
  forgetMovedFlows(translatedBy(now, definition, [...added, ...removed]), pass);
  if (added.length > 0) pass.applied++;
  pass.removed.push(...removed.map((one) => `element ${describeTable(now)} ${shown(definition, one)}`));
  return true;
}

/** As prefixes of full length. */
function translatedBy(
  { forgetsFlows }: NftElements,
  definition: NftSetDefinition,
  elements: readonly Pick<SetElement, "key">[],
): readonly string[] {
  if (!forgetsFlows) return [];
  const destinations = elements.map(({ key }) => decodeFields(definition.key as readonly DataType[], key)[0] ?? "");
  return [...new Set(destinations)].map(hostPrefix);
}

function keyText({ key, intervalEnd }: SetElement): string {
  return `${key.join()}${intervalEnd ? " end" : ""}`;
}

function textOf(element: SetElement): string {
  const { data } = element;
  const value = data === undefined ? "" : "jump" in data ? data.jump : data.join();
  return `${keyText(element)}: ${value}`;
}

function shown(definition: NftSetDefinition, { key }: SetElement): string {
  return decodeFields(definition.key as readonly DataType[], key).join(" . ");
}

/** Removes the tables of scopes that no resource wants. */
export function removeTables(scopes: readonly Scope[], wanted: readonly NodeResource[], pass: Pass): void {
  const isWanted = (family: string, name: string) =>
    wanted.some((one) => one.kind === "nft-table" && one.family === family && one.name === name);
  const tables = scopes.flatMap((scope) =>
    scope.kind === "table" && !isWanted(scope.family, scope.name) ? [scope] : [],
  );
  if (tables.length === 0) return;
  pass.attempt("unused tables of nf_tables", undefined, () =>
    queryNft(pass.sys, undefined, (session) => {
      for (const { family, name } of tables) removeTable(session, family, name, pass);
    }),
  );
}

/** A look first: the kernel takes 13 ms to refuse the removal of a table that does not exist. */
function removeTable(session: NftSession, family: NftTable["family"], name: string, pass: Pass): void {
  const what = `table ${family} ${name}`;
  const id = { family, table: name };
  if (session.ask(getTable(id), ["look for", what]) === undefined) return;
  const [refused] = session.commit([deleteTable(id)]);
  if (refused === undefined) pass.removed.push(what);
  else if (refused.errno !== ENOENT) pass.fail(what, new KernelError(["delete", what], refused));
}
