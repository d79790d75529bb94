/** Create, apply and replace of the store's objects, as transactions: the same ones over the store and, for a dry run, over a copy. */
import { isDeepStrictEqual } from "node:util";
import { isBlock } from "../../ipam/model/block.ts";
import type { PoolSpec } from "../../ipam/model/pool.ts";
import { familyOf } from "../../net/address.ts";
import { parseJson, stringifyJson } from "../../store/json.ts";
import type { Metadata, StoredObject } from "../../store/object.ts";
import { create, list, moveDamagedAside, type Transaction, update } from "../../store/transaction.ts";
import { CliError } from "../error.ts";
import type { StoreType } from "../store.ts";
import { withoutText } from "./document-text.ts";
import type { StoredKind } from "./kinds.ts";
import { nameOf, type Resource } from "./resource.ts";
import { effectWarnings, ruleFaults } from "./rules.ts";
import { schemaFaults } from "./schema.ts";
import { keptAside, readStored } from "./stored.ts";

export type Verb = "create" | "apply" | "replace" | "validate";

export interface Change {
  readonly action: "created" | "updated" | "unchanged" | "deleted" | "valid";
  readonly resource: Pick<Resource, "kind" | "metadata">;
  /** Side effects of the change. */
  readonly more?: string;
  /** Fields that have no effect here, one text each. */
  readonly warnings?: readonly string[];
}

export type StoredResource = Resource & { readonly kind: StoredKind };

/** `force`: replaces a damaged object. Throws `CliError` with all errors. */
export function* writeResource(
  type: StoreType,
  verb: Verb,
  resource: StoredResource,
  force = false,
): Transaction<Change> {
  const { kind, metadata } = resource;
  const refuse = (reason: string) => new CliError(`cannot ${verb} ${nameOf(resource)}: ${reason}`);
  const faults = schemaFaults(resource);
  if (faults.length > 0) throw refuse(faults.join("; "));
  const { stored, damage } = yield* readStored({ kind, name: metadata.name });
  if (damage !== undefined && !force)
    throw refuse(`${damage}; apply --force moves that file aside and writes a new one`);
  if (verb === "create" && stored !== undefined) throw refuse("it exists already; use apply or replace");
  if (verb === "replace" && stored === undefined && damage === undefined)
    throw refuse("it does not exist; use apply or create");
  const revision = metadata.resourceVersion;
  if (stored !== undefined && revision !== undefined && `${revision}` !== stored.metadata.resourceVersion) {
    throw refuse(
      `it was changed: its resourceVersion is ${stored.metadata.resourceVersion}, and ${revision} was sent; ` +
        "get it again, or omit metadata.resourceVersion",
    );
  }
  const wanted = merged(resource, stored);
  const warnings = effectWarnings(wanted, type);
  if (stored !== undefined && sameObject(stored, wanted)) return { action: "unchanged", resource, warnings };
  const broken = ruleFaults(wanted, type, {
    stored,
    pools: (yield* list("IPPool")) as readonly StoredObject<PoolSpec>[],
    blocks: (yield* list("IPAMBlock")).map((object) => withoutText(object) as StoredObject).filter(isBlock),
  });
  if (broken.length > 0) throw refuse(broken.join("; "));
  if (damage !== undefined) {
    yield* moveDamagedAside({ kind, name: metadata.name }, wanted);
    return { action: "created", resource, more: keptAside, warnings };
  }
  const written = stored === undefined ? yield* create(wanted) : yield* update(wanted);
  if (written === undefined) throw refuse("another process changed it meanwhile; try again");
  return { action: stored === undefined ? "created" : "updated", resource, warnings };
}

/** UID and revision come from the store; the rest comes from the document, with Calico's defaults. */
function merged(
  resource: StoredResource,
  stored: StoredObject | undefined,
): StoredObject & { readonly kind: StoredKind } {
  const { status: _status, ...document } = resource;
  const { resourceVersion: _version, managedFields: _fields, ...metadata } = resource.metadata;
  const { resourceVersion, creationTimestamp, uid }: Partial<Metadata> = stored?.metadata ?? {};
  return {
    ...(document as StoredResource),
    metadata: {
      ...metadata,
      ...(resourceVersion !== undefined && { resourceVersion }),
      ...(creationTimestamp !== undefined && { creationTimestamp }),
      ...(uid !== undefined && { uid }),
    },
    spec: storedSpec(resource, stored),
  };
}

function storedSpec({ kind, spec }: StoredResource, stored: StoredObject | undefined): object {
  if (kind === "IPPool") return withDefaults(spec as PoolSpec, stored);
  if (kind === "BlockAffinity") return { ...spec, deleted: `${(spec as { readonly deleted?: unknown }).deleted}` };
  return spec;
}

/** A new pool gets the defaults of Calico's schema; an existing one keeps its block size if the document has none. */
function withDefaults(spec: PoolSpec, stored: StoredObject | undefined): PoolSpec {
  const before = stored?.spec as PoolSpec | undefined;
  if (before !== undefined) return before.blockSize === undefined ? spec : { blockSize: before.blockSize, ...spec };
  return { ...poolDefaults(spec.cidr), ...spec };
}

function poolDefaults(cidr: string): Partial<PoolSpec> & { readonly ipipMode: string; readonly vxlanMode: string } {
  return {
    blockSize: familyOf(cidr) === 4 ? 26 : 122,
    ipipMode: "Never",
    vxlanMode: "Never",
    allowedUses: ["Workload", "Tunnel"],
    nodeSelector: "all()",
    assignmentMode: "Automatic",
  };
}

/** An omitted field equals its default: applying a created object again changes nothing. */
function sameObject(stored: StoredObject, wanted: StoredObject): boolean {
  const of = ({ kind, metadata: { labels = {}, annotations = {} }, spec }: StoredObject) => {
    if (kind !== "IPPool") return { labels, annotations, spec };
    const defaults = { ...poolDefaults((wanted.spec as PoolSpec).cidr), disabled: false, natOutgoing: false };
    return { labels, annotations, spec: { ...defaults, ...(spec as PoolSpec) } };
  };
  return isDeepStrictEqual(comparable(of(stored)), comparable(of(wanted)));
}

/** A number and a bigint with the same value are equal in a file. */
function comparable(value: unknown): unknown {
  return parseJson(stringifyJson(withoutText(value)));
}
