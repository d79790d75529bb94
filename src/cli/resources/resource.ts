/** A resource as people read and write it: an object of the store, or an endpoint's record. */
import type { Metadata } from "../../store/object.ts";
import { shownKinds } from "../../store/shown-kinds.ts";
import { CliError, exitStatus, messageOf } from "../error.ts";
import { didYouMean } from "../suggest.ts";
import { parseDocuments } from "./document-text.ts";
import { jsonFault } from "./json-fault.ts";
import { type ResourceKind, resourceKinds } from "./kinds.ts";

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
 * The resources in a text of YAML or JSON documents; splits lists, which `tortie get` prints. `source` is for messages. Throws `CliError` if a
 * document is not a resource.
 */
export function parseResources(text: string, source: string): readonly Resource[] {
  const resources = documents(text, source).flatMap((document, index) => {
    const items = isList(document) ? document.items : [document];
    return items.map((item) => decodeResource(item, `document ${index + 1} of ${source}`));
  });
  if (resources.length === 0) throw new CliError(`cannot read ${source}: it contains no resource`, exitStatus.failed);
  return resources;
}

function documents(text: string, source: string): readonly unknown[] {
  try {
    return parseDocuments(text);
  } catch (error) {
    throw new CliError(`cannot read ${source}: ${jsonFault(text) ?? messageOf(error)}`);
  }
}

function isList(document: unknown): document is { readonly items: readonly unknown[] } {
  const { kind, items } = (document ?? {}) as { readonly kind?: unknown; readonly items?: unknown };
  return typeof kind === "string" && kind.endsWith("List") && Array.isArray(items);
}

function decodeResource(value: unknown, place: string): Resource {
  const refuse = (reason: string) => new CliError(`cannot read ${place}: ${reason}`);
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw refuse("it is not an object");
  const { apiVersion, kind, metadata, spec } = value as Partial<Resource>;
  const known = kindOf(kind);
  if (known === undefined) throw refuse(kindFault(kind));
  if (typeof apiVersion !== "string") throw refuse("it has no apiVersion");
  if (typeof metadata?.name !== "string" || metadata.name === "") throw refuse("it has no metadata.name");
  // A dump of Kubernetes' own namespaces may lack it.
  if (spec === undefined && (known === "Node" || known === "Namespace")) return { ...(value as Resource), spec: {} };
  if (typeof spec !== "object" || spec === null) throw refuse(`${nameOf({ kind: known, metadata })} has no spec`);
  return { ...(value as Resource), kind: known };
}

/** By Kubernetes' name of the kind. */
function kindOf(kind: unknown): ResourceKind | undefined {
  // Its name in the API of Calico 3.32.
  if (kind === "IPAMConfiguration") return "IPAMConfig";
  return resourceKinds.find((known) => known === kind);
}

/** `StagedNetworkPolicy` and others of Kubernetes. */
const policies = /Policy$/;

function kindFault(kind: unknown): string {
  const wanted = `wanted one of ${resourceKinds.join(", ")}`;
  if (typeof kind !== "string") return `it has no kind; ${wanted}`;
  const why = policies.test(kind) ? `: ${shownKinds.NetworkPolicy.why}` : didYouMean(kind, resourceKinds);
  const text = `its kind is "${kind}"${why}`;
  return `${text}; ${wanted}`;
}
