/** An object that exists but is invalid. The error names it, so that the caller can repair it. */
import { type ObjectRef, StoreError } from "./store-error.ts";

export class DamagedError extends StoreError {
  override readonly name: string = "DamagedError";

  /** `action`: what failed. */
  constructor(action: "read" | "use", object: ObjectRef, reason: string) {
    super({ action, object, reason });
  }
}
