/**
 * The API resource of each kind, and the name of each object.
 *
 * | kind | `crd.projectcalico.org/v1` | `projectcalico.org/v3` |
 * | --- | --- | --- |
 * | IPAMConfig | ipamconfigs | ipamconfigurations, kind IPAMConfiguration |
 * | Node, Namespace | the core's own | likewise |
 * | WorkloadEndpoint | the core's pods (`pod.ts`) | likewise |
 * | Service, EndpointSlice | the core's own, and those of discovery.k8s.io | likewise |
 * | every other | its plural | likewise |
 */
import { createHash } from "node:crypto";
import { isDnsSubdomain } from "../../net/dns-name.ts";
import { hostnameHash } from "../affinity-labels.ts";
import type { ApiGroup } from "../cluster/settings.ts";
import type { Filter } from "../filter.ts";
import type { Key } from "../key.ts";
import type { Kind, Metadata } from "../object.ts";
import { affinityName, blockName } from "../object-name.ts";
import { pluralsOfShown } from "../shown-kinds.ts";

export interface Resource {
  readonly apiVersion: string;
  readonly kind: string;
  /** `/apis/crd.projectcalico.org/v1/ipamblocks`. */
  readonly path: string;
}

/** An object as the API has it. */
export interface Raw {
  readonly metadata: Metadata;
  readonly spec?: unknown;
  readonly [unknown: string]: unknown;
}

const plurals: Readonly<Record<Kind, string>> = {
  IPPool: "ippools",
  IPReservation: "ipreservations",
  IPAMConfig: "ipamconfigs",
  ClusterInformation: "clusterinformations",
  FelixConfiguration: "felixconfigurations",
  BGPConfiguration: "bgpconfigurations",
  BGPPeer: "bgppeers",
  BGPFilter: "bgpfilters",
  IPAMBlock: "ipamblocks",
  BlockAffinity: "blockaffinities",
  IPAMHandle: "ipamhandles",
  Node: "nodes",
  Namespace: "namespaces",
  Profile: "profiles",
  WorkloadEndpoint: "pods",
  Service: "services",
  EndpointSlice: "endpointslices",
  ...pluralsOfShown(),
};
/** Of the core. */
const ofCore: ReadonlySet<Kind> = new Set(["Node", "Namespace", "Service"]);
const discovery = "discovery.k8s.io/v1";

export function resourceOf(kind: Kind, group: ApiGroup): Resource {
  if (ofCore.has(kind)) return { apiVersion: "v1", kind, path: `/api/v1/${plurals[kind]}` };
  if (kind === "EndpointSlice") return { apiVersion: discovery, kind, path: `/apis/${discovery}/${plurals[kind]}` };
  if (kind === "WorkloadEndpoint") return { apiVersion: "v1", kind: "Pod", path: "/api/v1/pods" };
  if (kind === "IPAMConfig" && group === "projectcalico.org/v3") {
    return { apiVersion: group, kind: "IPAMConfiguration", path: `/apis/${group}/ipamconfigurations` };
  }
  return { apiVersion: group, kind, path: `/apis/${group}/${plurals[kind]}` };
}

/** `metadata.name` of the key's object. */
export function resourceName(key: Key): string {
  if ("name" in key) return key.name;
  if ("handleId" in key) return handleName(key.handleId);
  if ("workload" in key) return key.workload;
  return "node" in key ? affinityName(key.node, key.cidr) : blockName(key.cidr);
}

/** Calico's name: the ID in lower case. If the API does not allow it, a name with a digest. */
function handleName(handleId: string): string {
  const lower = handleId.toLowerCase();
  if (isDnsSubdomain(lower)) return lower;
  const words = lower.match(/[a-z0-9]+/g) ?? [];
  const digest = createHash("sha256").update(handleId).digest("hex").slice(0, 16);
  return [...(words.length > 0 ? [words.join("-").slice(0, 180)] : []), digest].join("-");
}

/** The path of the key's object. */
export function pathOf(key: Key, group: ApiGroup): string {
  const { path } = resourceOf(key.kind, group);
  const name = encodeURIComponent(resourceName(key));
  return "workload" in key ? `/api/v1/namespaces/${encodeURIComponent(key.namespace)}/pods/${name}` : `${path}/${name}`;
}

/** The selector of a listing: Calico finds a node's affinities by their labels. */
export function selectorOf(kind: Kind, { node, family }: Filter): string {
  if (kind !== "BlockAffinity" || node === undefined) return "";
  const labels = [
    `projectcalico.org/affinity-type=host`,
    `projectcalico.org/hostname-hash=${hostnameHash(node)}`,
    ...(family === undefined ? [] : [`projectcalico.org/ip-version=${family}`]),
  ];
  return labels.join();
}
