/**
 * Writes the objects of another datastore into a cluster's. **It reads everything before it writes anything**, and stops at an object that is there
 * with other contents, or whose node the cluster lacks. Run again after an interruption, it finishes.
 */
import { isDeepStrictEqual } from "node:util";
import { parseJson, stringifyJson } from "../../store/json.ts";
import { keyOf } from "../../store/key.ts";
import type { Kind, StoredObject } from "../../store/object.ts";
import { create, list, read, type Transaction, update } from "../../store/transaction.ts";
import type { Cli } from "../cli.ts";
import { CliError, type ExitStatus, exitStatus } from "../error.ts";
import { withoutText } from "../resources/document-text.ts";
import { readInputs } from "../resources/input-files.ts";
import { nameOf, parseResources, type Resource } from "../resources/resource.ts";
import { type StoreType, storeType, writeStore } from "../store.ts";
import { isDerived, migratedKinds } from "./export.ts";
import { newInformation, readReady } from "./lock.ts";

export async function importObjects(cli: Cli, files: readonly string[]): Promise<ExitStatus> {
  if (files.length === 0) throw new CliError("cannot import: wanted -f with what export printed", exitStatus.usage);
  if (cli.cluster === undefined) {
    throw new CliError("cannot import into the files of this node: name a cluster's datastore, as by ETCD_ENDPOINTS");
  }
  const inputs = await readInputs(cli, files, { recursive: false, withNetworks: false });
  const objects = inputs.flatMap(({ text, source }) => parseResources(text, source));
  const { written, unchanged, left } = await writeStore(cli, write(cli, inOrder(objects)));
  const others = left === 0 ? "" : `, ${left} left out, which follow from Kubernetes' own objects`;
  cli.out(`${written} objects written, ${unchanged} were there already${others}.\n`);
  cli.out('The datastore is locked; "tortie datastore migrate unlock" puts it to use.\n');
  return exitStatus.done;
}

function inOrder(objects: readonly Resource[]): readonly Resource[] {
  return migratedKinds.flatMap((kind) => objects.filter((object) => object.kind === kind));
}

interface Counts {
  readonly written: number;
  readonly unchanged: number;
  readonly left: number;
}

function* write(cli: Cli, objects: readonly Resource[]): Transaction<Counts> {
  const type = storeType(cli);
  if ((yield* readReady()) === true) {
    throw new CliError(
      'cannot import: the datastore is in use; run "tortie datastore migrate lock" first, so that nobody assigns from it meanwhile',
    );
  }
  const own = objects.filter((object) => !isLeftOut(type, object));
  const missing: Resource[] = [];
  const faults = yield* nodeFaults(type, own);
  for (const object of own) {
    const stored = yield* read(keyOf(object as StoredObject));
    if (stored === undefined) missing.push(object);
    else if (isSame(stored, object)) continue;
    else if (type === "kubernetes" && object.kind === "Node") missing.push(object);
    else faults.push(`${nameOf(object)} is there with other contents`);
  }
  if (faults.length > 0) throw new CliError(`cannot import: ${faults.slice(0, maxShown).join("; ")}${more(faults)}`);
  yield* lock(objects);
  let written = 0;
  for (const object of missing) if (yield* put(type, object)) written++;
  const left = objects.filter((object) => isLeftOut(type, object) && object.kind !== "ClusterInformation").length;
  return { written, unchanged: own.length - missing.length, left };
}

const maxShown = 10;

function more({ length }: readonly string[]): string {
  return length > maxShown ? ` and ${length - maxShown} more` : "";
}

/** ClusterInformation is written by `lock`. */
function isLeftOut(type: StoreType, { kind, spec }: Resource): boolean {
  const isLabels = kind === "Node" && type === "kubernetes" && Object.keys(spec).length === 0;
  return kind === "ClusterInformation" || isDerived(type, kind) || isLabels;
}

/** The cluster's identity moves too. */
function* lock(objects: readonly Resource[]): Transaction<void> {
  if ((yield* readReady()) !== undefined) return;
  const from = objects.find(({ kind }) => kind === "ClusterInformation");
  const information = newInformation(false);
  const spec = { ...(information.spec as object), ...from?.spec, datastoreReady: false };
  yield* create({ ...information, spec });
}

/** In Kubernetes the kubelet makes the nodes; here only Calico's fields of them are written. */
function* nodeFaults(type: StoreType, objects: readonly Resource[]): Transaction<string[]> {
  if (type !== "kubernetes") return [];
  const known = new Set((yield* list("Node")).map(({ metadata }) => metadata.name));
  const named = objects.flatMap(({ kind, metadata, spec }) => {
    if (kind === "Node") return [metadata.name];
    return kind === "BlockAffinity" ? [String((spec as { readonly node?: unknown }).node)] : [];
  });
  return [...new Set(named)].filter((node) => !known.has(node)).map((node) => `Kubernetes has no node "${node}"`);
}

/** Whether it was written; `false` if another process did so meanwhile. */
function* put(type: StoreType, { status: _status, ...object }: Resource): Transaction<boolean> {
  const wanted = object as StoredObject;
  const node = type === "kubernetes" && object.kind === "Node" ? yield* read(keyOf(wanted)) : undefined;
  if (node === undefined) return (yield* create(wanted)) !== undefined;
  return (yield* update({ ...node, spec: { ...(node.spec as object), ...object.spec } })) !== undefined;
}

/** A driver may fill in defaults, or leave out what is empty. */
function isSame(stored: StoredObject, { kind, spec }: Resource): boolean {
  const [one, other] = [comparable(kind, stored.spec), comparable(kind, spec)];
  return Object.keys(other).every((field) => isDeepStrictEqual(one[field], other[field]));
}

/** The fields that one datastore has and another has not. */
const omitted: Readonly<Partial<Record<Kind, readonly string[]>>> = {
  IPAMBlock: ["strictAffinity", "deleted", "affinityClaimTime"],
  IPAMHandle: ["deleted"],
  BlockAffinity: ["deleted", "type"],
  Node: ["orchRefs", "addresses"],
};

function comparable(kind: Kind, spec: unknown): Readonly<Record<string, unknown>> {
  const fields = parseJson(stringifyJson(withoutText(spec))) as Readonly<Record<string, unknown>>;
  const kept = Object.entries(fields).filter(([name, value]) => value !== null && !omitted[kind]?.includes(name));
  return Object.fromEntries(kept);
}
