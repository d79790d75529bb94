/** The CustomResourceDefinitions of our kinds: names and shape are Calico's, the schemas are those of `src/store/schemas.ts`. */
import type { Kind } from "../../store/object.ts";
import { specSchemas } from "../../store/schemas.ts";
import { type OpenApi, openApiOf } from "./open-api.ts";

/** The group of Calico up to 3.31, and by default after; the other one is optional since 3.32. */
export const apiGroups = ["crd.projectcalico.org/v1", "projectcalico.org/v3"] as const;
export type ApiGroup = (typeof apiGroups)[number];

interface Definition {
  readonly kind: Kind;
  readonly plural: string;
  readonly describe: string;
  /** Instead of the fields that our schema requires, where Calico requires others. */
  readonly required?: readonly string[];
  /** Additions to fields. */
  readonly fields?: Readonly<Record<string, OpenApi>>;
  readonly rules?: readonly Rule[];
  readonly hasStatus?: boolean;
}

/** In the language of Kubernetes' validations, CEL. */
interface Rule {
  readonly rule: string;
  readonly message: string;
}

const constant: Rule = {
  rule: "self == oldSelf",
  message: "cannot be changed: create another pool and delete this one",
};
const bothTunnels: Rule = {
  rule: "!has(self.ipipMode) || !has(self.vxlanMode) || self.ipipMode == 'Never' || self.vxlanMode == 'Never'",
  message: "ipipMode and vxlanMode cannot both be enabled",
};
const flag: OpenApi = { type: "boolean" };

const definitions: readonly Definition[] = [
  {
    kind: "IPPool",
    plural: "ippools",
    describe: "Addresses for pods, which nodes take in blocks.",
    fields: {
      cidr: { type: "string", format: "cidr", maxLength: 48, "x-kubernetes-validations": [constant] },
      blockSize: { type: "integer", minimum: 0, maximum: 128, "x-kubernetes-validations": [constant] },
      nodeSelector: { type: "string", maxLength: 1024, default: "all()" },
      namespaceSelector: { type: "string", maxLength: 1024 },
      assignmentMode: { type: "string", enum: ["Automatic", "Manual"], default: "Automatic" },
    },
    rules: [bothTunnels],
    hasStatus: true,
  },
  {
    kind: "IPReservation",
    plural: "ipreservations",
    describe: "Addresses of pools that are not assigned automatically.",
    required: [],
  },
  {
    kind: "IPAMConfig",
    plural: "ipamconfigs",
    describe: 'How addresses are assigned. There is one, "default".',
    required: ["autoAllocateBlocks", "strictAffinity"],
  },
  {
    kind: "IPAMBlock",
    plural: "ipamblocks",
    describe: "A block of a pool: which of its addresses are assigned, and for whom. Programs write it.",
    required: ["allocations", "attributes", "cidr", "strictAffinity", "unallocated"],
    fields: { sequenceNumber: { type: "integer", format: "int64", default: 0 } },
  },
  {
    kind: "BlockAffinity",
    plural: "blockaffinities",
    describe: "Which node owns which block. Programs write it.",
    // Calico's schema has a string here.
    fields: { deleted: { type: "string" } },
  },
  {
    kind: "IPAMHandle",
    plural: "ipamhandles",
    describe: "The blocks in which a sandbox or another user has addresses. Programs write it.",
    fields: { deleted: flag },
  },
  {
    kind: "ClusterInformation",
    plural: "clusterinformations",
    describe: 'The cluster, and whether its datastore may be written to. There is one, "default".',
    fields: { variant: { type: "string" } },
  },
  {
    kind: "FelixConfiguration",
    plural: "felixconfigurations",
    describe: "Settings of the programs on the nodes.",
  },
  { kind: "BGPConfiguration", plural: "bgpconfigurations", describe: "How nodes announce routes." },
  { kind: "BGPPeer", plural: "bgppeers", describe: "To whom nodes announce routes." },
  { kind: "BGPFilter", plural: "bgpfilters", describe: "Which routes are announced to a peer and taken from it." },
];

export function customResources(apiGroup: ApiGroup): readonly object[] {
  const [group = "", version = ""] = apiGroup.split("/");
  return definitions.map((definition) => {
    const changed = apiGroup === "projectcalico.org/v3" ? inNativeGroup[definition.kind] : undefined;
    return customResource({ kindName: definition.kind, ...definition, ...changed }, group, version);
  });
}

interface Named extends Definition {
  readonly kindName: string;
}

/** What `projectcalico.org/v3` calls or types otherwise. */
const inNativeGroup: Readonly<Partial<Record<Kind, Partial<Named>>>> = {
  IPAMConfig: { kindName: "IPAMConfiguration", plural: "ipamconfigurations" },
  BlockAffinity: { fields: { deleted: flag } },
};

function customResource(definition: Named, group: string, version: string): object {
  const { kindName: kind, plural, hasStatus = false } = definition;
  const singular = kind.toLowerCase();
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      names: { kind, listKind: `${kind}List`, plural, singular },
      scope: "Cluster",
      versions: [
        {
          ...{ name: version, served: true, storage: true },
          schema: { openAPIV3Schema: schemaOf(definition) },
          ...(hasStatus && { subresources: { status: {} } }),
        },
      ],
    },
  };
}

function schemaOf({ kind, describe, required, fields = {}, rules, hasStatus = false }: Definition): object {
  const { properties = {}, required: ours = [], ...others } = openApiOf(specSchemas[kind]);
  const wanted = [...(required ?? ours)].sort();
  return {
    type: "object",
    description: describe,
    properties: {
      apiVersion: { type: "string" },
      kind: { type: "string" },
      metadata: { type: "object" },
      spec: {
        ...others,
        properties: { ...properties, ...fields },
        ...(wanted.length > 0 && { required: wanted }),
        ...(rules && { "x-kubernetes-validations": rules }),
      },
      ...(hasStatus && { status: anything }),
    },
  };
}

/** What other programs write there. */
const anything: OpenApi = { type: "object", "x-kubernetes-preserve-unknown-fields": true };
