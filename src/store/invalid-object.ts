/** An object with an invalid field. The error names the field. */
import { DamagedError } from "./damage.ts";
import { stringifyJson } from "./json.ts";
import type { ObjectRef } from "./store-error.ts";

export interface FieldFault {
  /** `spec.blockSize`, `spec.reservedCIDRs[2]`. */
  readonly field: string;
  /** Follows "want": `an integer`, `a CIDR`. */
  readonly wanted: string;
  /** The value; `undefined` if the field is missing. */
  readonly found: unknown;
  /** The file of the object, if the store uses files. */
  readonly path?: string;
}

export class InvalidObject extends DamagedError {
  override readonly name = "InvalidObject";
  readonly fault: FieldFault;

  constructor(object: ObjectRef, fault: FieldFault) {
    super("use", object, reasonOf(fault));
    this.fault = fault;
  }
}

const maxFoundLength = 100;

function reasonOf({ field, wanted, found, path }: FieldFault): string {
  const text = found === undefined ? "missing" : stringifyJson(found);
  const shown = text.length > maxFoundLength ? `${text.slice(0, maxFoundLength)}…` : text;
  return `${path === undefined ? "" : `"${path}": `}its ${field} is ${shown}, want ${wanted}`;
}
