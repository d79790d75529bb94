/**
 * The directory of each kind, and the file of each object.
 *
 *     /run/tortie/ipam/blocks/192-168-185-0-26.json      allocations: on a tmpfs, they vanish with the sandboxes
 *     /run/tortie/ipam/{affinities,handles,cursors,open}/…
 *     /run/tortie/endpoints/…                            (`src/endpoint`)
 *     /var/lib/tortie/{ippools,ipreservations,ipamconfigs,clusterinformations,felixconfigurations,bgp…,nodes,namespaces}/…     settings: synced to the disk
 */
import { runDir, stateDir } from "../../identity/names.ts";
import { sha256 } from "../../net/digest.ts";
import type { Kind } from "../object.ts";

/** Including the hints that only this store keeps. */
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
  FelixConfiguration: { directory: `${stateDir}/felixconfigurations`, durable: true },
  BGPConfiguration: { directory: `${stateDir}/bgpconfigurations`, durable: true },
  BGPPeer: { directory: `${stateDir}/bgppeers`, durable: true },
  BGPFilter: { directory: `${stateDir}/bgpfilters`, durable: true },
  Node: { directory: `${stateDir}/nodes`, durable: true },
  Namespace: { directory: `${stateDir}/namespaces`, durable: true },
  IPAMBlock: { directory: `${runDir}/ipam/blocks`, durable: false },
  BlockAffinity: { directory: `${runDir}/ipam/affinities`, durable: false },
  IPAMHandle: { directory: `${runDir}/ipam/handles`, durable: false },
  Profile: { directory: `${stateDir}/profiles`, durable: true },
  WorkloadEndpoint: { directory: `${runDir}/endpoints`, durable: false },
  Service: { directory: `${stateDir}/services`, durable: true },
  EndpointSlice: { directory: `${stateDir}/endpointslices`, durable: true },
  NetworkPolicy: { directory: `${stateDir}/networkpolicies`, durable: true },
  GlobalNetworkPolicy: { directory: `${stateDir}/globalnetworkpolicies`, durable: true },
  NetworkSet: { directory: `${stateDir}/networksets`, durable: true },
  GlobalNetworkSet: { directory: `${stateDir}/globalnetworksets`, durable: true },
  Tier: { directory: `${stateDir}/tiers`, durable: true },
  HostEndpoint: { directory: `${stateDir}/hostendpoints`, durable: true },
  KubeControllersConfiguration: { directory: `${stateDir}/kubecontrollersconfigurations`, durable: true },
  CalicoNodeStatus: { directory: `${stateDir}/caliconodestatuses`, durable: true },
  IPAMCursor: { directory: `${runDir}/ipam/cursors`, durable: false },
  IPAMOpenBlock: { directory: `${runDir}/ipam/open`, durable: false },
};

/** Only root may see the owners of addresses. */
export const directoryMode = 0o700;
export const fileMode = 0o600;
export const suffix = ".json";

/** Names that Calico makes are valid file names; in others, invalid characters are percent-encoded. */
export function pathOf(kind: FileKind, name: string): string {
  // Most names stay as they are. A listing skips hidden files.
  const file = /^[a-z0-9-][a-z0-9.-]*$/.test(name)
    ? name
    : encodeURIComponent(name.replace(/[\ud800-\udfff]/gu, "\ufffd")).replace(/^\./, "%2E");
  const { directory } = places[kind];
  // A file name is limited to 255 bytes, and the temporary file's name is longer.
  return file.length <= 220
    ? `${directory}/${file}${suffix}`
    : `${directory}/${file.slice(0, 150)}~${sha256(name)}${suffix}`;
}

/** The object's name, decoded from the file name; for a shortened name, the rest of it. */
export function nameOfFile(file: string): string {
  const name = file.slice(0, -suffix.length);
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
