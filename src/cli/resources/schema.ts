/** The shape of each kind's spec, and what one resource's keys must be for themselves; `resource-rules.ts` has what they must be for others. */
import * as z from "zod";
import { canonicalAddress } from "../../net/address.ts";
import { isDnsSubdomain } from "../../net/dns-name.ts";
import { addressOf, canonicalPrefix, maskPrefix } from "../../net/prefix.ts";
import { affinityName, blockName, handleName } from "../../store/object-name.ts";
import type { ResourceKind } from "./kinds.ts";
import type { Resource } from "./resource.ts";
import { issueTexts } from "./schema-issue.ts";

const prefix = z.string().refine((text) => canonicalPrefix(text) !== undefined, "is not a CIDR like 10.0.0.0/16");
const network = prefix.refine((text) => canonicalPrefix(text) === undefined || maskPrefix(text) === text, {
  error: ({ input }) => `has host bits or is not in its usual form; write "${maskPrefix(input as string)}"`,
});
const addressWithLength = z
  .string()
  .refine((text) => canonicalAddress(addressOf(text)) !== undefined, "is not an address");
const integer = z.union([z.int(), z.bigint()]);
const counts = z.record(z.string(), z.int().nonnegative());
const nodeName = z.string().refine(isDnsSubdomain, "is not the name of a node");
const anything = z.unknown().optional();
const texts = z.record(z.string(), z.string());
const encapsulation = z.enum(["Never", "Always", "CrossSubnet"]);

/** Of `cli configure` too. */
export const ipamConfigSchema = z
  .strictObject({
    strictAffinity: z.boolean().optional(),
    autoAllocateBlocks: z.boolean().optional(),
    maxBlocksPerHost: z.int().min(0).optional(),
    ipCooldownSeconds: z.int().min(0).max(1200).optional(),
    kubeVirtVMAddressPersistence: z.enum(["Enabled", "Disabled"]).optional(),
  })
  .refine(
    ({ strictAffinity, autoAllocateBlocks }) => strictAffinity === true || autoAllocateBlocks !== false,
    "cannot disable 'StrictAffinity' and 'AutoAllocateBlocks' at the same time",
  )
  .refine(
    ({ strictAffinity, maxBlocksPerHost = 0 }) => strictAffinity === true || maxBlocksPerHost === 0,
    "maxBlocksPerHost requires strictAffinity to be true",
  );

const specs: Readonly<Record<ResourceKind, z.ZodType>> = {
  IPPool: z.strictObject({
    cidr: network,
    blockSize: z.int().optional(),
    disabled: z.boolean().optional(),
    natOutgoing: z.boolean().optional(),
    disableBGPExport: z.boolean().optional(),
    ipipMode: encapsulation.optional(),
    vxlanMode: encapsulation.optional(),
    assignmentMode: z.enum(["Automatic", "Manual"]).optional(),
    allowedUses: z.array(z.enum(["Workload", "Tunnel", "LoadBalancer"])).optional(),
    nodeSelector: z.string().optional(),
    namespaceSelector: z.string().optional(),
  }),
  IPReservation: z.strictObject({ reservedCIDRs: z.array(prefix) }),
  IPAMConfig: ipamConfigSchema,
  IPAMBlock: z.strictObject({
    cidr: network,
    affinity: z.string().nullish(),
    affinityClaimTime: z.string().nullish(),
    allocations: z.array(z.int().nullable()),
    unallocated: z.array(z.int()),
    attributes: z.array(
      z.strictObject({
        handle_id: z.string().nullish(),
        secondary: texts.nullish(),
        alternateOwnerAttrs: texts.nullish(),
        releasedAt: z.string().nullish(),
      }),
    ),
    sequenceNumber: integer,
    sequenceNumberForAllocation: z.record(z.string(), integer).nullish(),
    strictAffinity: z.boolean(),
    deleted: z.boolean().optional(),
  }),
  IPAMHandle: z.strictObject({ handleID: z.string(), block: counts, deleted: z.boolean().optional() }),
  BlockAffinity: z.strictObject({
    cidr: network,
    node: nodeName,
    state: z.enum(["pending", "confirmed", "pendingDeletion", ""]),
    type: z.string().optional(),
    // A string by a mistake in Calico's schema that cannot be mended; the API of 3.32 has a boolean.
    deleted: z.union([z.enum(["true", "false"]), z.boolean()]),
  }),
  // With Calico's fields that mean nothing here.
  WorkloadEndpoint: z.strictObject({
    orchestrator: z.string(),
    node: nodeName,
    containerID: z.string().min(1),
    endpoint: z.string().min(1),
    interfaceName: z.string().min(1).max(15),
    ipNetworks: z.array(addressWithLength),
    mac: z.string(),
    pod: z.string().optional(),
    workload: z.string().optional(),
    ipv4Gateway: z.string().optional(),
    ipv6Gateway: z.string().optional(),
    ipNATs: z.array(z.unknown()).optional(),
    profiles: z.array(z.string()).optional(),
    ports: z.array(z.unknown()).optional(),
    serviceAccountName: z.string().optional(),
    allowSpoofedSourcePrefixes: z.array(z.string()).optional(),
    qosControls: anything,
  }),
  // They are kept for their labels.
  Node: z.looseObject({}),
  Namespace: z.looseObject({}),
};

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
};

/** Everything that is wrong with a resource by itself. */
export function schemaFaults(resource: Resource): readonly string[] {
  const envelope = z.strictObject({
    apiVersion: z.enum(versions[resource.kind]),
    kind: anything,
    metadata,
    spec: anything,
    // What the cluster says of it.
    status: anything,
  });
  const faults = [...issueTexts(envelope, resource, ""), ...specFaults(resource)];
  return [...faults, ...(faults.length === 0 ? nameFaults(resource) : [])];
}

/** What is wrong with the spec alone, stored or about to be. */
export function specFaults({ kind, spec }: Pick<Resource, "kind" | "spec">): readonly string[] {
  return issueTexts(specs[kind], spec, "spec");
}

/** Objects of IPAM are found by names that are made of what they hold. */
function nameFaults({ kind, metadata: { name }, spec }: Resource): readonly string[] {
  const { cidr = "", node = "", handleID = "" } = spec as Readonly<Record<string, string>>;
  const made: Partial<Record<ResourceKind, string>> = {
    IPAMConfig: "default",
    IPAMBlock: kind === "IPAMBlock" ? blockName(cidr) : "",
    BlockAffinity: kind === "BlockAffinity" ? affinityName(node, cidr) : "",
    IPAMHandle: kind === "IPAMHandle" ? handleName(handleID) : "",
  };
  const wanted = made[kind];
  if (wanted !== undefined) return name === wanted ? [] : [`metadata.name: wanted "${wanted}"`];
  if (kind === "WorkloadEndpoint" || isDnsSubdomain(name)) return [];
  return [`metadata.name: wanted a DNS subdomain: lower-case letters, digits, "-" and "."`];
}
