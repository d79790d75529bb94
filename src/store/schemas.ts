/**
 * The schema of each kind's spec, as Calico defines it.
 *
 * A store decodes objects with the tables that `scripts/validators.ts` derives from these schemas (`decode.ts`): they check only types, and keep
 * unknown keys. A writer must satisfy the whole schema.
 */
import * as z from "zod";
import { canonicalAddress } from "../net/address.ts";
import { isDnsSubdomain } from "../net/dns-name.ts";
import { addressOf, canonicalPrefix, maskPrefix } from "../net/prefix.ts";
import type { Kind } from "./object.ts";
import { forShown } from "./shown-kinds.ts";

const prefix = z.string().refine((text) => canonicalPrefix(text) !== undefined, "is not a CIDR like 10.0.0.0/16");
const network = prefix.refine((text) => canonicalPrefix(text) === undefined || maskPrefix(text) === text, {
  error: ({ input }) => `has host bits or is not in canonical form; write "${maskPrefix(input as string)}"`,
});
/** Exact, whatever its size. */
export const integer = z.union([z.int(), z.bigint()]);
const counts = z.record(z.string(), z.int().nonnegative());
/** For kinds with a node name. */
const nodeName = z.string().refine(isDnsSubdomain, "is not the name of a node");
export const texts = z.record(z.string(), z.string());
const addressWithLength = z
  .string()
  .refine((text) => canonicalAddress(addressOf(text)) !== undefined, "is not an address");
const encapsulation = z.enum(["Never", "Always", "CrossSubnet"]);

const ipamConfig = z
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

/** Of each kind. */
export const specSchemas: Readonly<Record<Kind, z.ZodType>> = {
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
  IPAMConfig: ipamConfig,
  ClusterInformation: z.looseObject({
    clusterGUID: z.string().optional(),
    clusterType: z.string().optional(),
    calicoVersion: z.string().optional(),
    datastoreReady: z.boolean().optional(),
  }),
  FelixConfiguration: z.looseObject({}),
  // The agent reads them by schemas of its own (`src/agent/bgp/resources.ts`).
  BGPConfiguration: z.looseObject({}),
  BGPPeer: z.looseObject({}),
  BGPFilter: z.looseObject({}),
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
    // A string because of a mistake in Calico's schema that cannot be corrected; the API of 3.32 has a boolean.
    deleted: z.union([z.enum(["true", "false"]), z.boolean()]),
  }),
  // Nodes are stored for their labels.
  Node: z.looseObject({}),
  Namespace: z.looseObject({}),
  Service: z.looseObject({}),
  EndpointSlice: z.looseObject({}),
  ...forShown(z.looseObject({})),
  Profile: z.looseObject({ labelsToApply: texts.optional() }),
  // Includes Calico's fields that have no meaning here.
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
    qosControls: z.unknown().optional(),
  }),
};
