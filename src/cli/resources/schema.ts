/** The schema of each resource by itself; `rules.ts` checks it in relation to others. */
import * as z from "zod";
import { isDnsSubdomain } from "../../net/dns-name.ts";
import { affinityName, blockName, handleName } from "../../store/object-name.ts";
import { integer, specSchemas, texts } from "../../store/schemas.ts";
import { forShown } from "../../store/shown-kinds.ts";
import type { ResourceKind } from "./kinds.ts";
import type { Resource } from "./resource.ts";
import { issueTexts } from "./schema-issue.ts";

const anything = z.unknown().optional();

/** Kubernetes' ObjectMeta. */
const metadata = z.strictObject({
  name: z.string(),
  generateName: z.string().nullish(),
  namespace: z.string().nullish(),
  labels: texts.nullish(),
  annotations: texts.nullish(),
  resourceVersion: z.union([z.string(), integer]).nullish(),
  uid: z.string().nullish(),
  creationTimestamp: anything,
  deletionTimestamp: anything,
  deletionGracePeriodSeconds: anything,
  generation: anything,
  selfLink: anything,
  ownerReferences: anything,
  finalizers: anything,
  managedFields: anything,
});

const calico = ["projectcalico.org/v3", "crd.projectcalico.org/v1"];
const versions: Readonly<Record<ResourceKind, readonly string[]>> = {
  IPPool: calico,
  IPReservation: calico,
  IPAMConfig: calico,
  IPAMBlock: calico,
  IPAMHandle: calico,
  BlockAffinity: calico,
  WorkloadEndpoint: calico,
  Node: ["v1", ...calico],
  Namespace: ["v1"],
  Profile: calico,
  ClusterInformation: calico,
  FelixConfiguration: calico,
  BGPConfiguration: calico,
  BGPPeer: calico,
  BGPFilter: calico,
  ...forShown(calico),
};

/** All errors of a resource by itself. */
export function schemaFaults(resource: Resource): readonly string[] {
  const envelope = z.strictObject({
    apiVersion: z.enum(versions[resource.kind]),
    kind: anything,
    metadata,
    spec: anything,
    // Set by the cluster.
    status: anything,
  });
  const faults = [...issueTexts(envelope, resource, ""), ...specFaults(resource)];
  return [...faults, ...(faults.length === 0 ? nameFaults(resource) : [])];
}

/** Errors of the spec alone, stored or about to be. */
export function specFaults({ kind, spec }: Pick<Resource, "kind" | "spec">): readonly string[] {
  return issueTexts(specSchemas[kind], spec, "spec");
}

/** The names of IPAM's objects are derived from their contents. */
function nameFaults({ kind, metadata: { name }, spec }: Resource): readonly string[] {
  const { cidr = "", node = "", handleID = "" } = spec as Readonly<Record<string, string>>;
  const made: Partial<Record<ResourceKind, string>> = {
    IPAMConfig: "default",
    IPAMBlock: kind === "IPAMBlock" ? blockName(cidr) : "",
    BlockAffinity: kind === "BlockAffinity" ? affinityName(node, cidr) : "",
    IPAMHandle: kind === "IPAMHandle" ? handleName(handleID) : "",
  };
  const wanted = made[kind];
  if (wanted !== undefined) return name === wanted ? [] : [`metadata.name: must be "${wanted}"`];
  if (kind === "WorkloadEndpoint" || isDnsSubdomain(name)) return [];
  return [`metadata.name: must be a DNS subdomain: lower-case letters, digits, "-" and "."`];
}
