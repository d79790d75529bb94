/** `tortie get`, `create`, `apply`, `replace`, `validate` and `delete`. */
import { fileStore } from "../store/file.ts";
import { withFileStore } from "../store/lock.ts";
import { drive, type Store } from "../store/transaction.ts";
import type { Cli } from "./cli.ts";
import { type Format, formatDocument, withoutText } from "./document-text.ts";
import { dryRunStore } from "./dry-run-store.ts";
import { isNamed, listEndpointResources, planEndpointDelete, planEndpointWrite } from "./endpoint-resource.ts";
import { CliError, type ExitStatus, exitStatus, messageOf } from "./error.ts";
import { columnsOf, findKind, parseKind, type ResourceKind } from "./kinds.ts";
import { collisionWarnings } from "./node-networks.ts";
import { nameOf, parseResources, type Resource } from "./resource.ts";
import { deleteResource } from "./resource-delete.ts";
import { type Change, type StoredResource, type Verb, writeResource } from "./resource-write.ts";
import { readObjects } from "./store.ts";
import { borderless } from "./table.ts";

export interface GetOptions {
  readonly kind: string;
  readonly names: readonly string[];
  readonly output: "ps" | "wide" | "name" | Format;
}

export function getResources(cli: Cli, options: GetOptions): ExitStatus {
  const { output } = options;
  const { kind, names } = parseReferences(options.kind, options.names);
  const all = allOf(cli, kind);
  const found = names.length === 0 ? all : all.filter((resource) => names.some((name) => isNamed(resource, name)));
  const missing = names.filter((name) => !found.some((resource) => isNamed(resource, name)));
  if (output === "yaml" || output === "json") cli.out(formatDocument(asDocument(kind, names, found), output));
  else if (output === "name") cli.out(found.map((resource) => `${referenceOf(resource)}\n`).join(""));
  else cli.out(resourceTable(kind, found, output === "wide"));
  for (const name of missing) cli.note(`tortie: cannot get ${kind} "${name}": there is none`);
  return missing.length === 0 ? exitStatus.done : exitStatus.failed;
}

/** `ippool/default-ipv4-ippool`, which `get` and `delete` take as well. */
function referenceOf(resource: Resource): string {
  return `${resource.kind.toLowerCase()}/${endpointName(resource)}`;
}

function allOf(cli: Cli, kind: ResourceKind): readonly Resource[] {
  if (kind === "WorkloadEndpoint") return listEndpointResources(cli);
  return readObjects(cli, kind).map((object) => withoutText(object) as Resource);
}

/** `ippool a b`, and what `get -o name` prints: `ippool/a ippool/b`. */
function parseReferences(
  first: string,
  others: readonly string[],
): { readonly kind: ResourceKind; readonly names: readonly string[] } {
  const [word = "", name] = split(first);
  const kind = parseKind(word);
  if (name === undefined) return { kind, names: others };
  const names = others.map((other) => {
    const [otherWord, otherName] = split(other);
    if (otherName === undefined || findKind(otherWord) !== kind) {
      throw new CliError(`cannot use "${other}" beside "${first}": wanted ${word}/<name>`, exitStatus.usage);
    }
    return otherName;
  });
  return { kind, names: [name, ...names] };
}

function split(reference: string): readonly [string, string | undefined] {
  const at = reference.indexOf("/");
  return at < 0 ? [reference, undefined] : [reference.slice(0, at), reference.slice(at + 1)];
}

/** One that was asked for by name stands for itself; anything else is a list, as Kubernetes has it. */
function asDocument(kind: ResourceKind, names: readonly string[], found: readonly Resource[]): unknown {
  const [only] = found;
  if (names.length === 1 && found.length === 1) return only;
  return { apiVersion: "projectcalico.org/v3", kind: `${kind}List`, items: found };
}

function resourceTable(kind: ResourceKind, resources: readonly Resource[], wide: boolean): string {
  const columns = columnsOf[kind].filter((column) => wide || column.wide !== true);
  return borderless({ columns, rows: resources.map((resource) => columns.map(({ value }) => value(resource))) });
}

export interface WriteOptions {
  readonly filename: string | undefined;
  readonly dryRun?: boolean | undefined;
}

/** What is wrong with one keeps all from being written. */
export async function writeResources(cli: Cli, verb: Verb, { filename, dryRun }: WriteOptions): Promise<ExitStatus> {
  if (filename === undefined) {
    throw new CliError(
      `cannot run ${verb}: wanted -f with a file, as in "tortie ${verb} -f pool.yaml"`,
      exitStatus.usage,
    );
  }
  const resources = await readResources(cli, filename);
  const write = (store: Store) => (resource: Resource) =>
    isStored(resource) ? { ...drive(writeResource(verb, resource), store) } : planEndpointWrite(cli, verb, resource);
  const status = changeAll(cli, resources, write, dryRun === true || verb === "validate", verb);
  const warnings = status === exitStatus.done ? await collisionWarnings(cli, resources) : [];
  for (const warning of warnings) cli.note(`tortie: warning: ${warning}`);
  return status;
}

export interface DeleteOptions {
  readonly kind?: string | undefined;
  readonly names: readonly string[];
  readonly filename?: string | undefined;
  readonly force?: boolean | undefined;
  readonly dryRun?: boolean | undefined;
}

export async function deleteResources(cli: Cli, options: DeleteOptions): Promise<ExitStatus> {
  const { kind, names, filename, force = false, dryRun = false } = options;
  const named = kind === undefined ? undefined : parseReferences(kind, names);
  if ((filename === undefined) === (named === undefined || named.names.length === 0)) {
    throw new CliError("cannot delete: wanted a kind and names, or -f with a file", exitStatus.usage);
  }
  const targets =
    filename === undefined
      ? (named?.names ?? []).map((name) => ({ kind: named?.kind as ResourceKind, metadata: { name } }))
      : await readResources(cli, filename);
  const remove = (store: Store) => (target: Pick<Resource, "kind" | "metadata">) =>
    target.kind === "WorkloadEndpoint"
      ? planEndpointDelete(cli, endpointName(target), force)
      : { ...drive(deleteResource(target.kind, target.metadata.name, force), store) };
  return changeAll(cli, targets, remove, dryRun, "delete");
}

type Planned = Change & { readonly perform?: () => void };

/** First over a copy of the store, then, when all of it succeeded, over the store; both under its lock. */
function changeAll<T>(
  cli: Cli,
  items: readonly T[],
  change: (store: Store) => (item: T) => Planned,
  dryRun: boolean,
  verb: Verb | "delete",
): ExitStatus {
  const plan = (store: Store) => planAll(cli, items, change(dryRunStore(store)));
  // A dry run needs no lock, so that whoever may only read can make one.
  if (dryRun) return finish(cli, plan(fileStore(cli.sys)), verb, " (dry run)");
  const changes = withFileStore(cli.sys, {}, (store) => {
    if (plan(store) === undefined) return undefined;
    return items.map((item) => {
      const planned = change(store)(item);
      planned.perform?.();
      return planned;
    });
  });
  return finish(cli, changes, verb, "");
}

/** `undefined` when one of them is refused; each refusal is told. */
function planAll<T>(cli: Cli, items: readonly T[], change: (item: T) => Planned): readonly Planned[] | undefined {
  const planned: Planned[] = [];
  for (const item of items) {
    try {
      planned.push(change(item));
    } catch (error) {
      if (!(error instanceof CliError)) throw error;
      cli.note(`tortie: ${error.message}`);
    }
  }
  return planned.length === items.length ? planned : undefined;
}

function finish(cli: Cli, changes: readonly Planned[] | undefined, verb: string, suffix: string): ExitStatus {
  if (changes === undefined) return exitStatus.failed;
  for (const { action, resource, more, warnings = [] } of changes) {
    for (const warning of warnings) cli.note(`tortie: warning: ${nameOf(resource)}: ${warning}`);
    const done = verb === "validate" ? "valid" : `${action}${more === undefined ? "" : `, ${more}`}${suffix}`;
    cli.out(`${nameOf(resource)} ${done}\n`);
  }
  return exitStatus.done;
}

function isStored(resource: Resource): resource is StoredResource {
  return resource.kind !== "WorkloadEndpoint";
}

function endpointName({ metadata }: Pick<Resource, "metadata">): string {
  return typeof metadata.namespace === "string" ? `${metadata.namespace}/${metadata.name}` : metadata.name;
}

async function readResources(cli: Cli, filename: string): Promise<readonly Resource[]> {
  if (filename === "-") return parseResources(await cli.input(), "standard input");
  return parseResources(readText(cli, filename), `"${filename}"`);
}

function readText({ sys }: Cli, filename: string): string {
  try {
    return sys.readFile(filename);
  } catch (error) {
    throw new CliError(`cannot read "${filename}": ${messageOf(error)}`);
  }
}
