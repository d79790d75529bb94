/** The end of an operation that was overtaken by others again and again. */
import { CniError, code } from "../cni/error.ts";
import { maxTries } from "../store/transaction.ts";

/** `action` as in `claim block 10.0.0.0/26`. */
export function tooManyConflicts(action: string): CniError {
  return new CniError(
    code.datastore,
    `cannot ${action}: Max retries hit - excessive concurrent IPAM requests (${maxTries} tries)`,
  );
}
