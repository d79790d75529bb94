/**
 * Tests whether the kernel can create tables without creating them: a real transaction whose last message the kernel always refuses. As in an
 * ADD, the kernel loads the modules.
 *
 * An aborted transaction costs a grace period, 10 ms. Once one of the tables exists, the kernel evidently can create it, and a lookup is enough.
 */

import type { CoreError } from "../../errors/core-error.ts";
import type { Sys } from "../../host/sys.ts";
import type { TableFamily } from "../../net/address.ts";
import { newElements } from "../../netlink/nftables/elements.ts";
import { getTable, namelessTable } from "../../netlink/nftables/nftables.ts";
import type { NftResource } from "../../plan/nft.ts";
import { KernelError } from "../errors.ts";
import { compileElement } from "./compile.ts";
import { missingFeature } from "./missing-feature.ts";
import { idOf } from "./owner.ts";
import { EEXIST, isTransient, NftSession } from "./session.ts";
import { statesOf, type TableState } from "./state.ts";
import { buildRequests } from "./table.ts";

/**
 * The first reason per family why an ADD could not create these tables and elements. With `isCapable` the kernel is known to have the features, and
 * the probe tests only the permission. Throws `KernelError` if it has no nf_tables or does not let us use them.
 */
export function probeNft(
  resources: readonly NftResource[],
  sys: Sys,
  isCapable = false,
): ReadonlyMap<TableFamily, CoreError> {
  const states = statesOf(resources);
  const session = new NftSession(sys);
  try {
    const there = session.askAll(
      states.map(({ table }) => getTable(idOf(table))),
      ["look into", "nf_tables"],
    );
    return isCapable || there.some((answer) => answer !== undefined) ? new Map() : attempt(session, states);
  } finally {
    session.close();
  }
}

function attempt(session: NftSession, states: readonly TableState[]): ReadonlyMap<TableFamily, CoreError> {
  const parts = states.flatMap((state, index) =>
    requestsOf(state, index * 1000 + 1).map((request) => ({ family: state.table.family, request })),
  );
  const found = new Map<TableFamily, CoreError>();
  for (const refused of session.commit([...parts.map(({ request }) => request), namelessTable])) {
    const part = parts[refused.index];
    if (refused.index < 0 && !isTransient(refused.errno)) throw new KernelError(["use", "nf_tables"], refused);
    // EEXIST: an ADD has created the table meanwhile.
    if (part === undefined || found.has(part.family) || refused.errno === EEXIST || isTransient(refused.errno))
      continue;
    found.set(part.family, missingFeature(part.request, refused) ?? new KernelError(["use", "nf_tables"], refused));
  }
  return found;
}

function requestsOf({ table, owned }: TableState, setId: number) {
  const id = idOf(table);
  return [
    ...buildRequests(table, setId),
    ...owned.map(({ set: name, element }) => {
      const set = table.sets.find((one) => one.name === name);
      return newElements({ ...id, set: name }, set ? compileElement(set, element) : [], true);
    }),
  ];
}
