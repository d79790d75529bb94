/** Collection: releases everything of one network that belongs to no attachment which is still there. */
import { CoreError } from "../../errors/core-error.ts";
import { list, type Transaction } from "../../store/transaction.ts";
import { decodeHandle, type HandleOwner, ownerOfHandle } from "../model/handle.ts";
import type { Assigned } from "../model/held.ts";
import { releaseByHandle } from "./release.ts";

export interface Collected {
  readonly released: readonly Assigned[];
  /** What could not be released; the rest was. */
  readonly errors: readonly CoreError[];
}

/** `isValid` tells of an attachment of this network whether it is still there. Handles of other networks and uses are left alone. */
export function* collect(network: string, isValid: (owner: HandleOwner) => boolean): Transaction<Collected> {
  const released: Assigned[] = [];
  const errors: CoreError[] = [];
  for (const object of yield* list("IPAMHandle")) {
    try {
      const { handleID } = decodeHandle(object).spec;
      const owner = ownerOfHandle(handleID);
      if (owner?.network === network && !isValid(owner)) released.push(...(yield* releaseByHandle(handleID)));
    } catch (error) {
      if (!(error instanceof CoreError)) throw error;
      errors.push(error);
    }
  }
  return { released, errors };
}
