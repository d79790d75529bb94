/**
 * Converts Calico's objects from and to custom resources.
 *
 * **In `crd.projectcalico.org/v1`** an object's labels and annotations are in its annotation `projectcalico.org/metadata`, and Calico's own labels
 * also on the resource itself; the object's UID is derived from the resource's, so that the two APIs of Calico never show one UID for two
 * objects; `deleted` of an affinity is a string. `projectcalico.org/v3` does none of this.
 */

import { affinityLabels } from "../affinity-labels.ts";
import { goJson, inOrder } from "../cluster/go-json.ts";
import type { ApiGroup } from "../cluster/settings.ts";
import { parseJson } from "../json.ts";
import { readValue } from "../json-text.ts";
import type { Key } from "../key.ts";
import type { Kind, Metadata, StoredObject } from "../object.ts";
import { decodeNode } from "./node.ts";
import { decodePod } from "./pod.ts";
import { type Raw, resourceName, resourceOf } from "./resources.ts";

type Fields = Readonly<Record<string, unknown>>;
type Texts = Readonly<Record<string, string>>;

const metadataAnnotation = "projectcalico.org/metadata";
const old = "crd.projectcalico.org/v1";
const external = "projectcalico.org/v3";
/** Kinds that are deleted in two steps: the API's DELETE does not compare revisions. */
const internalKinds: ReadonlySet<Kind> = new Set(["IPAMBlock", "BlockAffinity", "IPAMHandle"]);

export function isInternal(kind: Kind): boolean {
  return internalKinds.has(kind);
}

/** Whether its deletion has begun. */
export function isHalfDeleted({ kind, spec }: StoredObject): boolean {
  return isInternal(kind) && String((spec as Fields).deleted) === "true";
}

/** Throws `SyntaxError` if it is not an object of the kind. */
export function decodeObject(kind: Kind, raw: Raw, group: ApiGroup): StoredObject {
  if (typeof raw.metadata?.name !== "string") throw new SyntaxError("it has no metadata.name");
  const { managedFields: _managed, ...metadata } = raw.metadata;
  if (kind === "Node") return decodeNode(raw);
  if (kind === "WorkloadEndpoint") return decodePod(raw);
  if (kind === "Namespace") return { apiVersion: "v1", kind, metadata, spec: {} };
  if (kind === "Service" || kind === "EndpointSlice") {
    return { ...raw, apiVersion: resourceOf(kind, group).apiVersion, kind, metadata, spec: raw.spec ?? {} };
  }
  if (typeof raw.spec !== "object" || raw.spec === null) throw new SyntaxError("it has no spec");
  const { apiVersion: _version, kind: _kind, metadata: _metadata, spec, ...rest } = raw;
  return {
    ...rest,
    apiVersion: isInternal(kind) ? old : external,
    kind,
    metadata: group === old ? decodeMetadata(kind, metadata) : metadata,
    spec,
  };
}

function decodeMetadata(kind: Kind, { annotations = {}, labels, uid, ...others }: Metadata): Metadata {
  const { [metadataAnnotation]: text, ...own } = annotations;
  const stored =
    text === undefined ? {} : (parseJson(text) as { readonly labels?: Texts; readonly annotations?: Texts });
  const allLabels = { ...labels, ...stored.labels };
  const allAnnotations = { ...own, ...stored.annotations };
  return {
    ...others,
    ...(typeof uid === "string" && { uid: otherUid(kind, uid, old) }),
    ...(Object.keys(allLabels).length > 0 && { labels: allLabels }),
    ...(Object.keys(allAnnotations).length > 0 && { annotations: allAnnotations }),
  };
}

/** The resource to send to the API server. */
export function encodeObject(key: Key, object: StoredObject, group: ApiGroup): Raw {
  const { apiVersion, kind } = resourceOf(key.kind, group);
  const { apiVersion: _version, kind: _kind, metadata, spec, ...rest } = object;
  const native = encodeNative(key.kind, { ...metadata, name: resourceName(key) }, spec as Fields);
  return {
    apiVersion,
    kind,
    metadata: group === old ? encodeMetadata(key.kind, native) : native,
    spec: encodeSpec(key.kind, spec as Fields, group),
    ...rest,
  };
}

/** Writes affinities as Calico does: with the labels that Calico selects by, without our hints. */
function encodeNative(kind: Kind, metadata: Metadata, spec: Fields): Metadata {
  if (kind !== "BlockAffinity") return metadata;
  const { annotations: _hints, ...others } = metadata;
  const { node, cidr, type } = spec as Readonly<Record<string, string>>;
  return { ...others, labels: { ...others.labels, ...affinityLabels(node ?? "", cidr ?? "", type) } };
}

function encodeMetadata(kind: Kind, metadata: Metadata): Metadata {
  const { name, resourceVersion, uid, labels, annotations, finalizers, ownerReferences } = metadata;
  const hidden = {
    ...(labels && Object.keys(labels).length > 0 && { labels: inOrder(labels) }),
    ...(annotations && Object.keys(annotations).length > 0 && { annotations: inOrder(annotations) }),
  };
  const shown = calicosOwn(labels);
  return {
    name,
    ...(resourceVersion !== undefined && { resourceVersion }),
    ...(typeof uid === "string" && { uid: otherUid(kind, uid, old) }),
    ...(Object.keys(shown).length > 0 && { labels: shown }),
    // A PUT without them would remove them, and what waits for the object's end would miss it.
    ...(finalizers !== undefined && { finalizers }),
    ...(ownerReferences !== undefined && { ownerReferences }),
    annotations: { ...calicosOwn(annotations), [metadataAnnotation]: goJson(hidden) },
  };
}

function calicosOwn(texts: Texts = {}): Texts {
  return Object.fromEntries(
    Object.entries(texts).filter(([name]) => /projectcalico\.org\/|operator\.tigera\.io\//.test(name)),
  );
}

/** Adds the fields that the schema requires, and omits null fields, which it rejects. */
function encodeSpec(kind: Kind, spec: Fields, group: ApiGroup): unknown {
  const known = withoutNulls(spec) as Fields;
  if (kind === "IPAMBlock") return { ...known, strictAffinity: false, deleted: known.deleted ?? false };
  if (kind === "IPAMHandle") return { ...known, deleted: known.deleted ?? false };
  if (kind === "IPAMConfig") return { strictAffinity: false, autoAllocateBlocks: true, ...known };
  if (kind !== "BlockAffinity") return known;
  const deleted = String(known.deleted) === "true";
  return { ...known, type: known.type ?? "host", deleted: group === old ? String(deleted) : deleted };
}

/** Keeps null items of lists: they stand for free addresses. */
function withoutNulls(value: unknown): unknown {
  const read = readValue(value);
  if (Array.isArray(read)) return read.map(withoutNulls);
  if (typeof read !== "object" || read === null) return read;
  const members = Object.entries(read).filter(([, member]) => member !== null && member !== undefined);
  return Object.fromEntries(members.map(([name, member]) => [name, withoutNulls(member)]));
}

/** Converts the UID of a resource to that of the object, and back. */
export function otherUid(kind: Kind, uid: string, group: ApiGroup): string {
  return isInternal(kind) || group !== old ? uid : convertUid(uid);
}

/** Reverses the bits of each byte, except those of version and variant. Applied twice, it returns the original. */
export function convertUid(uid: string): string {
  const hex = uid.replaceAll("-", "");
  if (!/^[0-9a-f]{32}$/.test(hex)) return uid;
  const bytes = Buffer.from(hex, "hex").map((byte, index) => (index === 6 || index === 8 ? byte : reversed(byte)));
  return Buffer.from(bytes)
    .toString("hex")
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

function reversed(byte: number): number {
  return Number.parseInt(byte.toString(2).padStart(8, "0").split("").reverse().join(""), 2);
}
