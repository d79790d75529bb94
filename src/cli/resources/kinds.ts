/** The kinds of resources, and their names on the command line. */

import type { Kind } from "../../store/object.ts";
import { CliError, exitStatus } from "../error.ts";
import { didYouMean } from "../suggest.ts";

/** Kinds that the command writes. The embedded datastore is always ready and has no policy. */
export type StoredKind = Exclude<Kind, "ClusterInformation" | "FelixConfiguration" | "Profile" | "WorkloadEndpoint">;
export type ResourceKind = StoredKind | "WorkloadEndpoint";

export const resourceKinds: readonly ResourceKind[] = [
  "IPPool",
  "IPReservation",
  "IPAMConfig",
  "IPAMBlock",
  "IPAMHandle",
  "BlockAffinity",
  "WorkloadEndpoint",
  "Node",
  "Namespace",
];

const shortNames: Readonly<Record<string, ResourceKind>> = {
  ipp: "IPPool",
  wep: "WorkloadEndpoint",
  ns: "Namespace",
  ipamconfiguration: "IPAMConfig",
  blockaffinities: "BlockAffinity",
};

/** Case-insensitive, singular or plural. Throws `CliError` 2. */
export function parseKind(text: string): ResourceKind {
  const kind = findKind(text);
  if (kind !== undefined) return kind;
  const known = resourceKinds.map((one) => one.toLowerCase());
  const near = didYouMean(text.replace(/s$/i, ""), known);
  throw new CliError(`cannot use kind "${text}"${near}: wanted one of ${known.join(", ")}`, exitStatus.usage);
}

export function findKind(text: string): ResourceKind | undefined {
  const name = text.toLowerCase();
  const singular = name.replace(/s$/, "");
  const byName = resourceKinds.find((kind) => [name, singular].includes(kind.toLowerCase()));
  return byName ?? shortNames[name] ?? shortNames[singular];
}
