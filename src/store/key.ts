/**
 * The key of an object says what the object is about, so no code has to parse a name. Each store converts it to its own form.
 *
 *     {kind: "BlockAffinity", node: "n1", cidr: "10.0.0.0/26"}
 *         file    /run/tortie/ipam/affinities/n1-10-0-0-0-26.json
 *         etcd    /calico/ipam/v2/host/n1/ipv4/block/10.0.0.0-26
 *         CRD     blockaffinities/n1-10-0-0-0-26
 */
import type { EndpointParts } from "../identity/endpoint-name.ts";
import type { Kind, Metadata, StoredObject } from "./object.ts";

export interface BlockKey {
  readonly kind: "IPAMBlock";
  readonly cidr: string;
}

export interface AffinityKey {
  readonly kind: "BlockAffinity";
  readonly node: string;
  readonly cidr: string;
}

export interface HandleKey {
  readonly kind: "IPAMHandle";
  readonly handleId: string;
}

/** By the parts of its name: where a workload runs, and which of its interfaces it is. */
export interface EndpointKey extends EndpointParts {
  readonly kind: "WorkloadEndpoint";
  readonly namespace: string;
}

/**
 * By `metadata.name`: settings, which have no other key, and objects that a person names. A store that does not address a kind by name lists
 * the kind to find the object.
 */
export interface NamedKey {
  readonly kind: Kind;
  readonly name: string;
  /** Of an object whose name is unique only in it. */
  readonly namespace?: string;
}

export type Key = BlockKey | AffinityKey | HandleKey | EndpointKey | NamedKey;

/** The key of an object; by its name if its spec is invalid. */
export function keyOf({ kind, metadata, spec }: StoredObject): Key {
  const { cidr, node, handleID } = spec as {
    readonly cidr?: unknown;
    readonly node?: unknown;
    readonly handleID?: unknown;
  };
  if (kind === "IPAMBlock" && typeof cidr === "string") return { kind, cidr };
  if (kind === "BlockAffinity" && typeof cidr === "string" && typeof node === "string") return { kind, node, cidr };
  if (kind === "IPAMHandle" && typeof handleID === "string") return { kind, handleId: handleID };
  if (kind === "WorkloadEndpoint" && typeof node === "string") return endpointKey(metadata, spec as EndpointSpec, node);
  const { name, namespace } = metadata;
  return { kind, name, ...(typeof namespace === "string" && { namespace }) };
}

interface EndpointSpec {
  readonly orchestrator?: string;
  readonly pod?: string;
  readonly workload?: string;
  readonly containerID?: string;
  readonly endpoint?: string;
}

/** Calico names a container without a pod by its ID only. */
function endpointKey({ namespace = "default" }: Metadata, spec: EndpointSpec, node: string): EndpointKey {
  const { orchestrator, pod, workload, containerID = "", endpoint = "" } = spec;
  return {
    kind: "WorkloadEndpoint",
    namespace: String(namespace),
    node,
    orchestrator: orchestrator === "k8s" ? "k8s" : "cni",
    workload: pod ?? workload ?? containerID,
    endpoint,
  };
}
