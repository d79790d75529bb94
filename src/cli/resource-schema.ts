/** The shape of each kind's spec, and what one resource's keys must be for themselves; `resource-rules.ts` has what they must be for others. */
import * as z from "zod";
import { affinityName, blockName, handleName } from "../ipam/object-name.ts";
import { canonicalAddress } from "../net/address.ts";
import { addressOf, canonicalPrefix, maskPrefix } from "../net/prefix.ts";
import type { ResourceKind } from "./kinds.ts";
import type { Resource } from "./resource.ts";

/** Kubernetes' names: a DNS subdomain (RFC 1123). */
const dnsName = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const longestName = 253;

const prefix = z.string().refine((text) => canonicalPrefix(text) !== undefined, "is no prefix like 10.0.0.0/16");
const network = prefix.refine(
  (text) => canonicalPrefix(text) === undefined || maskPrefix(text) === text,
  "has bits beyond its length or is not in canonical form",
);
const addressWithLength = z.string().refine((text) => canonicalAddress(addressOf(text)) !== undefined, "is no address");
const integer = z.union([z.int(), z.bigint()]);
const counts = z.record(z.string(), z.int().nonnegative());
const encapsulation = z.enum(["Never", "Always", "CrossSubnet"]);

/** Of `cli configure` too. */
export const ipamConfigSchema = z
  .looseObject({
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
  IPPool: z.looseObject({
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
  IPReservation: z.looseObject({ reservedCIDRs: z.array(prefix) }),
  IPAMConfig: ipamConfigSchema,
  IPAMBlock: z.looseObject({
    cidr: network,
    affinity: z.string().nullish(),
    allocations: z.array(z.int().nullable()),
    unallocated: z.array(z.int()),
    attributes: z.array(z.looseObject({ handle_id: z.string().nullish() })),
    sequenceNumber: integer,
    sequenceNumberForAllocation: z.record(z.string(), integer).nullish(),
    strictAffinity: z.boolean(),
    deleted: z.boolean().optional(),
  }),
  IPAMHandle: z.looseObject({ handleID: z.string(), block: counts, deleted: z.boolean().optional() }),
  BlockAffinity: z.looseObject({
    cidr: network,
    node: z.string().min(1),
    state: z.enum(["pending", "confirmed", "pendingDeletion", ""]),
    type: z.string().optional(),
    // A string by a mistake in Calico's schema that cannot be mended.
    deleted: z.enum(["true", "false"]),
  }),
  WorkloadEndpoint: z.looseObject({
    orchestrator: z.string(),
    node: z.string().min(1),
    containerID: z.string().min(1),
    endpoint: z.string().min(1),
    interfaceName: z.string().min(1).max(15),
    ipNetworks: z.array(addressWithLength),
    mac: z.string(),
  }),
  // They are kept for their labels.
  Node: z.looseObject({}),
  Namespace: z.looseObject({}),
};

/** Everything that is wrong with a resource by itself. */
export function schemaFaults(resource: Resource): readonly string[] {
  const parsed = specs[resource.kind].safeParse(resource.spec);
  const shape = parsed.success ? [] : parsed.error.issues.map(issueText);
  return [...shape, ...(shape.length === 0 ? nameFaults(resource) : [])];
}

function issueText({ path, message }: z.core.$ZodIssue): string {
  const place = path.map((part) => (typeof part === "number" ? `[${part}]` : `.${String(part)}`)).join("");
  return place === "" ? message : `spec${place}: ${message.charAt(0).toLowerCase()}${message.slice(1)}`;
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
  if (kind === "WorkloadEndpoint" || (dnsName.test(name) && name.length <= longestName)) return [];
  return [`metadata.name: wanted a DNS subdomain: lower-case letters, digits, "-" and "."`];
}
