/** `tortie get`: resources as a table, as documents, or by name. */
import { isNamespaced, isShown, shownKinds } from "../../store/shown-kinds.ts";
import type { Cli } from "../cli.ts";
import { CliError, type ExitStatus, exitStatus } from "../error.ts";
import { readObjects, type StoreType, storeType } from "../store.ts";
import { didYouMean } from "../suggest.ts";
import { borderless } from "../ui/table.ts";
import { type Format, formatDocument, withoutText } from "./document-text.ts";
import { isNamed, isOfPod, listEndpointResources } from "./endpoint.ts";
import { columnsOf } from "./kind-columns.ts";
import { type ResourceKind, refusalOf } from "./kinds.ts";
import { parseLabels } from "./labels.ts";
import { parseReferences, referenceOf } from "./references.ts";
import type { Resource } from "./resource.ts";

export interface GetOptions {
  readonly kind: string;
  readonly names: readonly string[];
  readonly output: "ps" | "wide" | "name" | Format;
  readonly selector?: string | undefined;
  readonly namespace?: string | undefined;
  readonly allNamespaces?: boolean | undefined;
}

export async function getResources(cli: Cli, options: GetOptions): Promise<ExitStatus> {
  const { output } = options;
  const { kind, names } = parseReferences(options.kind, options.names);
  const refusal = refusalOf(storeType(cli), kind, "get");
  if (refusal !== undefined) throw new CliError(`cannot get ${kind}: ${refusal}`);
  if (isShown(kind)) cli.note(`tortie: ${shownKinds[kind].why}`);
  const all = selected(await allOf(cli, kind), kind, options);
  const found = names.length === 0 ? all : all.filter((resource) => names.some((name) => isMeant(resource, name)));
  const missing = names.filter((name) => !found.some((resource) => isMeant(resource, name)));
  // If all names are missing there is nothing to print.
  if (found.length === 0 && names.length > 0) return tellMissing(cli, kind, all, missing);
  if (output === "yaml" || output === "json") cli.out(formatDocument(asDocument(kind, names, found), output));
  else if (output === "name") cli.out(found.map((resource) => `${referenceOf(resource)}\n`).join(""));
  else cli.out(resourceTable(kind, storeType(cli), found, output === "wide"));
  return tellMissing(cli, kind, all, missing);
}

/** By name, or for an endpoint by its pod's name. */
function isMeant(resource: Resource, name: string): boolean {
  return isNamed(resource, name) || (resource.kind === "WorkloadEndpoint" && isOfPod(resource, name));
}

function tellMissing(cli: Cli, kind: ResourceKind, all: readonly Resource[], missing: readonly string[]): ExitStatus {
  const known = all.map(({ metadata }) => metadata.name);
  for (const name of missing) cli.note(`tortie: cannot get ${kind} "${name}": there is none${didYouMean(name, known)}`);
  return missing.length === 0 ? exitStatus.done : exitStatus.failed;
}

async function allOf(cli: Cli, kind: ResourceKind): Promise<readonly Resource[]> {
  if (kind === "WorkloadEndpoint" && cli.cluster === undefined) return listEndpointResources(cli);
  const objects = (await readObjects(cli, kind)).map((object) => withoutText(object) as Resource);
  const found = kind === "WorkloadEndpoint" ? objects.filter(hasAddress) : objects;
  return isNamespaced(kind) ? [...found].sort(byPlace) : found;
}

/** A pod that has none, or the node's own, is no endpoint. */
function hasAddress({ spec }: Resource): boolean {
  return ((spec as { readonly ipNetworks?: readonly unknown[] }).ipNetworks ?? []).length > 0;
}

/** By namespace and name. */
function byPlace(one: Resource, other: Resource): number {
  const [a, b] = [one, other].map(({ metadata: { namespace, name } }) => `${namespace}/${name}`) as [string, string];
  return a < b ? -1 : Number(a > b);
}

/** Options known from kubectl. All namespaces are listed anyway. */
function selected(all: readonly Resource[], kind: ResourceKind, options: GetOptions): readonly Resource[] {
  const { selector, namespace, allNamespaces } = options;
  if (!isNamespaced(kind) && (namespace !== undefined || allNamespaces === true)) {
    const option = namespace === undefined ? "-A" : "-n";
    throw new CliError(
      `cannot get ${kind} by ${option}: resources of this kind have no namespace; omit ${option} out`,
      exitStatus.usage,
    );
  }
  const matches = selector === undefined ? undefined : parseLabels(selector);
  return all.filter(
    ({ metadata }) =>
      (matches === undefined || matches(metadata.labels ?? {})) &&
      (namespace === undefined || metadata.namespace === namespace),
  );
}

/** A single object that was requested by name; otherwise a list, as in Kubernetes. */
function asDocument(kind: ResourceKind, names: readonly string[], found: readonly Resource[]): unknown {
  const [only] = found;
  if (names.length === 1 && found.length === 1) return only;
  return { apiVersion: "projectcalico.org/v3", kind: `${kind}List`, items: found };
}

function resourceTable(kind: ResourceKind, type: StoreType, resources: readonly Resource[], wide: boolean): string {
  const columns = columnsOf(kind, type).filter((column) => wide || column.wide !== true);
  return borderless({ columns, rows: resources.map((resource) => columns.map(({ value }) => value(resource))) });
}
