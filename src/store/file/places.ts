/**
 * Where the files of each kind are, and which file is an object's.
 *
 *     /run/tortie/ipam/blocks/192-168-185-0-26.json      allocations: they die with the sandboxes, on a tmpfs
 *     /run/tortie/ipam/{affinities,handles,cursors,open}/…
 *     /run/tortie/endpoints/…                            (`src/endpoint`)
 *     /var/lib/tortie/{ippools,ipreservations,ipamconfigs,clusterinformations,nodes,namespaces}/…     settings: synced to the disk before they count
 */
import { runDir, stateDir } from "../../identity/names.ts";
import { sha256 } from "../../net/digest.ts";
import type { Kind } from "../object.ts";

/** With the hints that this store keeps for itself. */
export type FileKind = Kind | "IPAMCursor" | "IPAMOpenBlock";

interface Place {
  readonly directory: string;
  readonly durable: boolean;
}

/** Never change: upgrades depend on it. */
export const places: Readonly<Record<FileKind, Place>> = {
  IPPool: { directory: `${stateDir}/ippools`, durable: true },
  IPReservation: { directory: `${stateDir}/ipreservations`, durable: true },
  IPAMConfig: { directory: `${stateDir}/ipamconfigs`, durable: true },
  ClusterInformation: { directory: `${stateDir}/clusterinformations`, durable: true },
  Node: { directory: `${stateDir}/nodes`, durable: true },
  Namespace: { directory: `${stateDir}/namespaces`, durable: true },
  IPAMBlock: { directory: `${runDir}/ipam/blocks`, durable: false },
  BlockAffinity: { directory: `${runDir}/ipam/affinities`, durable: false },
  IPAMHandle: { directory: `${runDir}/ipam/handles`, durable: false },
  Profile: { directory: `${stateDir}/profiles`, durable: true },
  WorkloadEndpoint: { directory: `${runDir}/endpoints`, durable: false },
  IPAMCursor: { directory: `${runDir}/ipam/cursors`, durable: false },
  IPAMOpenBlock: { directory: `${runDir}/ipam/open`, durable: false },
};

/** Who may read who talks from where is root's to say. */
export const directoryMode = 0o700;
export const fileMode = 0o600;
export const suffix = ".json";

/** Names that Calico makes are file names already; of others, what a file name may not hold is percent-encoded. */
export function pathOf(kind: FileKind, name: string): string {
  // A listing passes over hidden files.
  const file = encodeURIComponent(name.replace(/[\ud800-\udfff]/gu, "\ufffd")).replace(/^\./, "%2E");
  const { directory } = places[kind];
  // A file name takes 255 bytes, and a temporary neighbour needs some more.
  return file.length <= 220
    ? `${directory}/${file}${suffix}`
    : `${directory}/${file.slice(0, 150)}~${sha256(name)}${suffix}`;
}

/** What a file's name says of the object's; of a name that was cut, what is left of it. */
export function nameOfFile(file: string): string {
  const name = file.slice(0, -suffix.length);
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
