/** Reads the store's object for a key, even if it is damaged: --force moves it aside. */
import { DamagedError } from "../../store/damage.ts";
import type { Key } from "../../store/key.ts";
import type { StoredObject } from "../../store/object.ts";
import { read, type Transaction } from "../../store/transaction.ts";

export interface Stored {
  /** `undefined` if there is none, or it is damaged. */
  readonly stored: StoredObject | undefined;
  /** Why it is damaged. */
  readonly damage: string | undefined;
}

export function* readStored(key: Key): Transaction<Stored> {
  try {
    return { stored: yield* read(key), damage: undefined };
  } catch (error) {
    if (!(error instanceof DamagedError)) throw error;
    return { stored: undefined, damage: error.reason };
  }
}

/** Part of the message about the change. */
export const keptAside = "and the damaged file is kept beside its place";
