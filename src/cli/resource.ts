/** A resource as people write and read it: the store's objects, and endpoints' records. */
import type { Metadata } from "../store/object.ts";
import { parseDocuments } from "./document-text.ts";
import { CliError, exitStatus, messageOf } from "./error.ts";
import { findKind, type ResourceKind, resourceKinds } from "./kinds.ts";

export interface Resource {
  readonly apiVersion: string;
  readonly kind: ResourceKind;
  readonly metadata: Metadata;
  readonly spec: object;
  readonly [unknown: string]: unknown;
}

/** For messages: `IPPool "default-ipv4-ippool"`. */
export function nameOf({ kind, metadata }: Pick<Resource, "kind" | "metadata">): string {
  return `${kind} "${metadata.name}"`;
}

/**
 * The resources in a text of YAML or JSON documents; lists, as `tortie get` writes them, are taken apart. `source` is for messages. Throws
 * `CliError` when one is none.
 */
export function parseResources(text: string, source: string): readonly Resource[] {
  const resources = documents(text, source).flatMap((document, index) => {
    const items = isList(document) ? document.items : [document];
    return items.map((item) => decodeResource(item, `document ${index + 1} of ${source}`));
  });
  if (resources.length === 0) throw new CliError(`cannot read ${source}: it holds no resource`, exitStatus.failed);
  return resources;
}

function documents(text: string, source: string): readonly unknown[] {
  try {
    return parseDocuments(text);
  } catch (error) {
    throw new CliError(`cannot read ${source}: ${messageOf(error)}`);
  }
}

function isList(document: unknown): document is { readonly items: readonly unknown[] } {
  const { kind, items } = (document ?? {}) as { readonly kind?: unknown; readonly items?: unknown };
  return typeof kind === "string" && kind.endsWith("List") && Array.isArray(items);
}

function decodeResource(value: unknown, place: string): Resource {
  const refuse = (reason: string) => new CliError(`cannot read ${place}: ${reason}`);
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw refuse("it is no object");
  const { apiVersion, kind, metadata, spec } = value as Partial<Resource>;
  const known = typeof kind === "string" ? findKind(kind) : undefined;
  if (known === undefined || known !== kind) {
    throw refuse(`its kind is ${JSON.stringify(kind)}; wanted one of ${resourceKinds.join(", ")}`);
  }
  if (typeof apiVersion !== "string") throw refuse("it has no apiVersion");
  if (typeof metadata?.name !== "string" || metadata.name === "") throw refuse("it has no metadata.name");
  // Kubernetes' own dump of a namespace may have none.
  if (spec === undefined && (kind === "Node" || kind === "Namespace")) return { ...(value as Resource), spec: {} };
  if (typeof spec !== "object" || spec === null) throw refuse(`${nameOf({ kind, metadata })} has no spec`);
  return value as Resource;
}
