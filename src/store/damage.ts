/** Damage: an object that is there and cannot be used. Whoever can rebuild it learns from the error which it is. */
import { type ObjectRef, StoreError } from "./store-error.ts";

export class DamagedError extends StoreError {
  override readonly name: string = "DamagedError";

  /** `action`: what could not be done. */
  constructor(action: "read" | "use", object: ObjectRef, reason: string) {
    super({ action, object, reason });
  }
}
