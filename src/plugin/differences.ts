/** CHECK's answer: the differences as text in the message, and as data in the details. */
import { CniError, code } from "../cni/error.ts";
import type { Difference, Place, Resource } from "../plan/resource.ts";

/** One difference; the details of the answer are a JSON list of them. */
export interface ReportedDifference {
  /** The resource's kind, or another kind of object. */
  readonly kind: string;
  readonly at?: Place;
  /** The kernel's name of a shared object: a table's family and name (`ip tortie`), a sysctl's path. */
  readonly object?: string;
  /** Reads on its own: `route 10.0.0.5/32 dev cali123 is missing`. */
  readonly text: string;
}

export class DifferencesError extends CniError {
  readonly differences: readonly ReportedDifference[];

  constructor(message: string, differences: readonly ReportedDifference[]) {
    super(code.different, message, differencesText(differences));
    this.differences = differences;
  }
}

/** The details of an answer. */
export function differencesText(differences: readonly ReportedDifference[]): string {
  return JSON.stringify(differences);
}

/** Throws `DifferencesError` that names every difference; `what` is what was to be confirmed. */
export function refuseDifferences(what: string, differences: readonly (Difference | ReportedDifference)[]): void {
  if (differences.length === 0) return;
  const message = `cannot confirm ${what}: ${differences.map(({ text }) => text).join("; ")}`;
  throw new DifferencesError(message, differences.map(reported));
}

function reported(difference: Difference | ReportedDifference): ReportedDifference {
  if (!("resource" in difference)) return difference;
  const { resource, text } = difference;
  const object = sharedObject(resource);
  return {
    kind: resource.kind,
    ...("at" in resource && { at: resource.at }),
    ...(object !== undefined && { object }),
    text,
  };
}

function sharedObject(resource: Resource): string | undefined {
  switch (resource.kind) {
    case "sysctl":
      return resource.path;
    case "nft-table":
      return `${resource.family} ${resource.name}`;
    case "nft-elements":
      return `${resource.family} ${resource.table}`;
    default:
      return undefined;
  }
}
