/**
 * The values of Calico's objects in etcd, converted from and to objects in the shape of the CRDs.
 *
 * | object        | in etcd                                                                                                     |
 * | ------------- | ----------------------------------------------------------------------------------------------------------- |
 * | IPAMBlock     | the spec; the time of the claim is `affinity_claim_time`, and there is no `strictAffinity`                    |
 * | BlockAffinity | `{"state":"confirmed","deleted":false}`, node and CIDR are in the key; an empty value is confirmed            |
 * | IPAMHandle    | `{"block":{…},"deleted":false}`, the ID is in the key                                                         |
 * | IPAMConfig    | `{"strict_affinity":…,"auto_allocate_blocks":…,…}`, without what is false or 0                                |
 * | resources     | the object, without its revision                                                                             |
 *
 * **Unknown members are kept**, after the known ones.
 */
import { randomUUID } from "node:crypto";
import { goJson, inOrder } from "../cluster/go-json.ts";
import { parseJson } from "../json.ts";
import { readValue } from "../json-text.ts";
import type { Key } from "../key.ts";
import type { Metadata, StoredObject } from "../object.ts";
import { nameOf } from "../object-name.ts";

type Fields = Readonly<Record<string, unknown>>;

/** For IPAM's internal kinds, and for resources. */
const internal = "crd.projectcalico.org/v1";
const external = "projectcalico.org/v3";

/** Throws `SyntaxError` if the value is not an object of the kind. */
export function decodeValue(key: Key, value: string, revision: string): StoredObject {
  const fields = value === "" && key.kind === "BlockAffinity" ? {} : fieldsOf(parseJson(value));
  const metadata = { name: nameOf(key), resourceVersion: revision };
  const spec = decodeSpec(key, fields);
  if (spec !== undefined) return { apiVersion: internal, kind: key.kind, metadata, spec };
  if (fields.kind !== key.kind) throw new SyntaxError(`its kind is ${JSON.stringify(fields.kind)}`);
  return {
    ...fields,
    apiVersion: external,
    kind: key.kind,
    metadata: { ...fieldsOf(fields.metadata), ...metadata },
    spec: fields.spec ?? {},
  };
}

/** `undefined` if etcd stores the object unchanged. */
function decodeSpec(key: Key, fields: Fields): object | undefined {
  if (key.kind === "IPAMBlock") return decodeBlock(fields);
  if (key.kind === "BlockAffinity" && "node" in key) {
    const { state = "confirmed", deleted = false, ...others } = fields;
    return { cidr: key.cidr, node: key.node, type: "host", state, deleted: String(deleted), ...others };
  }
  if (key.kind === "IPAMHandle" && "handleId" in key) return { handleID: key.handleId, ...fields };
  if (key.kind !== "IPAMConfig") return undefined;
  const {
    strict_affinity: strictAffinity = false,
    auto_allocate_blocks: autoAllocateBlocks = false,
    ...others
  } = fields;
  return { strictAffinity, autoAllocateBlocks, ...others };
}

/** Calico wrote `hostAffinity` before it introduced `affinity`. */
function decodeBlock({ affinity_claim_time: time, hostAffinity: host, ...fields }: Fields): object {
  const affinity = fields.affinity ?? (host == null ? undefined : `host:${host}`);
  return {
    ...fields,
    ...(affinity !== undefined && { affinity }),
    ...(time !== undefined && { affinityClaimTime: time }),
    strictAffinity: false,
  };
}

/** The value that Calico would write. A resource without a UID and a creation time gets them. */
export function encodeValue(key: Key, object: StoredObject, now: Date): string {
  const spec = object.spec as Fields;
  if (key.kind === "IPAMBlock") return goJson(encodeBlock(spec));
  if (key.kind === "BlockAffinity") {
    const { cidr: _cidr, node: _node, type: _type, state, deleted, ...others } = spec;
    return goJson({ state: state === "" ? "confirmed" : state, deleted: String(deleted) === "true", ...others });
  }
  if (key.kind === "IPAMHandle") {
    const { handleID: _id, block, deleted = false, ...others } = spec;
    return goJson({ block: inOrder(fieldsOf(block)), deleted, ...others });
  }
  if (key.kind === "IPAMConfig") return goJson(encodeConfig(spec));
  const { apiVersion: _version, kind, metadata, spec: _spec, ...rest } = object;
  return goJson({ kind, apiVersion: external, metadata: encodeMetadata(metadata, now), spec, ...rest });
}

function encodeBlock(spec: Fields): Fields {
  const { cidr, affinity, affinityClaimTime, allocations, unallocated, attributes, ...more } = spec;
  const { sequenceNumber, sequenceNumberForAllocation, deleted, strictAffinity: _strict, ...others } = more;
  return {
    cidr,
    affinity: affinity ?? undefined,
    affinity_claim_time: affinityClaimTime ?? undefined,
    allocations,
    unallocated,
    attributes: (attributes as readonly unknown[]).map(encodeAttribute),
    sequenceNumber,
    sequenceNumberForAllocation: inOrder(fieldsOf(sequenceNumberForAllocation ?? {})),
    deleted: deleted ?? false,
    ...others,
  };
}

function encodeAttribute(attribute: unknown): Fields {
  const { handle_id, secondary, ...others } = fieldsOf(attribute);
  return { handle_id, secondary: secondary == null ? secondary : inOrder(fieldsOf(secondary)), ...others };
}

function encodeConfig({ strictAffinity, autoAllocateBlocks, ...others }: Fields): Fields {
  const fields = { strict_affinity: strictAffinity, auto_allocate_blocks: autoAllocateBlocks, ...others };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => Boolean(value)));
}

function encodeMetadata(metadata: Metadata, now: Date): Fields {
  const { name, namespace, uid, resourceVersion: _revision, creationTimestamp, ...others } = metadata;
  return {
    name,
    namespace,
    uid: uid ?? randomUUID(),
    creationTimestamp: creationTimestamp ?? now.toISOString().replace(/\.\d+Z$/, "Z"),
    ...others,
  };
}

function fieldsOf(value: unknown): Fields {
  const read = readValue(value);
  if (typeof read !== "object" || read === null || Array.isArray(read))
    throw new SyntaxError("it is not a JSON object");
  return read as Fields;
}
