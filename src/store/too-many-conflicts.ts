/** An operation gave up after too many conflicts. */
import { CoreError } from "../errors/core-error.ts";
import { maxTries } from "./transaction.ts";

export class TooManyConflicts extends CoreError {
  override readonly name = "TooManyConflicts";
  readonly kind = "datastore";
  readonly action: string;

  /** `action` as in `claim block 10.0.0.0/26`. */
  constructor(action: string) {
    // Calico's message, which people search for.
    super(`cannot ${action}: Max retries hit - excessive concurrent IPAM requests (${maxTries} tries)`);
    this.action = action;
  }
}
