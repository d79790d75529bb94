/** A failure of a datastore: the request, its object, and the reason. */
import { CoreError, type ErrorKind } from "../errors/core-error.ts";

/** An object in the store's terms. Without a name: all objects of the kind. */
export interface ObjectRef {
  readonly kind: string;
  readonly name: string;
}

export interface Refusal {
  /** What failed, as in `cannot read`. */
  readonly action: string;
  readonly object: ObjectRef;
  readonly reason: string;
  /** Where the store keeps the kind, for an error about the whole kind. */
  readonly place?: string;
  /** The error underneath, if there is one. */
  readonly cause?: unknown;
}

export class StoreError extends CoreError {
  override readonly name: string = "StoreError";
  readonly kind: ErrorKind = "datastore";
  readonly action: string;
  readonly object: ObjectRef;
  readonly reason: string;

  constructor({ action, object, reason, place, cause }: Refusal) {
    const what = place === undefined ? `${object.kind} "${object.name}"` : `${object.kind} objects in "${place}"`;
    super(`cannot ${action} ${what}: ${reason}`, { cause });
    this.action = action;
    this.object = object;
    this.reason = reason;
  }
}
