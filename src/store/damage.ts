/** Damage: an object that is there and cannot be used. It is an error that names it, so that whoever can rebuild it knows which. */
import { CniError, code } from "../cni/error.ts";
import type { Kind } from "./object.ts";

export interface DamagedObject {
  readonly kind: Kind;
  readonly name: string;
}

export class DamagedError extends CniError {
  readonly object: DamagedObject;

  /** `action`: what could not be done, `read` or `use`. */
  constructor(action: "read" | "use", object: DamagedObject, reason: string) {
    super(code.datastore, `cannot ${action} ${object.kind} "${object.name}": ${reason}`);
    this.object = object;
  }
}

/** The object that the message of a `DamagedError` is about: reports keep the message alone. */
export function objectOfMessage(message: string): DamagedObject | undefined {
  const [, kind, name] = /^cannot (?:read|use) (\w+) "([^"]+)": /.exec(message) ?? [];
  return kind === undefined || name === undefined ? undefined : { kind: kind as Kind, name };
}
