/** `tortie create`, `apply`, `replace`, `validate` and `delete`. */

import { drive, type Store } from "../../store/transaction.ts";
import type { Cli } from "../cli.ts";
import { CliError, type ExitStatus, exitStatus } from "../error.ts";
import { networkIn, validateNetwork } from "../lint/validate.ts";
import { collisionWarnings } from "../node/networks.ts";
import { datastoreOf } from "../store.ts";
import { deleteResource } from "./delete.ts";
import { dryRunStore } from "./dry-run-store.ts";
import { planEndpointDelete, planEndpointWrite } from "./endpoint.ts";
import { type Input, readInputs } from "./input-files.ts";
import type { ResourceKind } from "./kinds.ts";
import { parseReferences, qualifiedName } from "./references.ts";
import { nameOf, parseResources, type Resource } from "./resource.ts";
import { type Change, type StoredResource, type Verb, writeResource } from "./write.ts";

export interface WriteOptions {
  readonly filename: readonly string[];
  readonly recursive?: boolean | undefined;
  /** Replaces damaged objects. */
  readonly force?: boolean | undefined;
  readonly dryRun?: boolean | undefined;
}

/** Writes nothing if one resource has an error. */
export async function writeResources(cli: Cli, verb: Verb, options: WriteOptions): Promise<ExitStatus> {
  const { filename, recursive = false, force = false, dryRun } = options;
  if (filename.length === 0) {
    const what =
      verb === "validate"
        ? 'resources, or with a network configuration, as in "tortie validate -f pool.yaml" or "tortie validate -f /etc/cni/net.d"'
        : `resources, as in "tortie ${verb} -f pool.yaml"`;
    throw new CliError(`cannot run ${verb}: wanted -f with a file of ${what}`, exitStatus.usage);
  }
  const inputs = await readInputs(cli, filename, { recursive, withNetworks: verb === "validate" });
  const isWell = inputs.map((input) => checkNetwork(cli, verb, input)).every((checked) => checked !== false);
  const others = inputs.filter((input) => networkIn(input) === undefined);
  if (others.length === 0) return isWell ? exitStatus.done : exitStatus.failed;
  const resources = others.flatMap(({ text, source }) => parseResources(text, source));
  const write = (store: Store) => (resource: Resource) =>
    isStored(resource)
      ? { ...drive(writeResource(verb, resource, force), store) }
      : planEndpointWrite(cli, verb, resource);
  const status = changeAll(cli, resources, write, dryRun === true || verb === "validate", verb);
  const warnings = status === exitStatus.done ? await collisionWarnings(cli, resources) : [];
  for (const warning of warnings) cli.note(`tortie: warning: ${warning}`);
  return isWell ? status : exitStatus.failed;
}

/** Whether a network configuration is valid; `undefined` if it is not one. Throws `CliError` on an attempt to write it. */
function checkNetwork(cli: Cli, verb: Verb, input: Input): boolean | undefined {
  const network = networkIn(input);
  if (network === undefined) return undefined;
  if (verb === "validate") return validateNetwork(cli, input, network);
  throw new CliError(
    `cannot ${verb} ${input.source}: it is a network configuration of container runtimes; "tortie validate" checks it, ` +
      '"tortie install --conflist" installs it',
  );
}

export interface DeleteOptions {
  readonly kind?: string | undefined;
  readonly names: readonly string[];
  readonly filename: readonly string[];
  readonly recursive?: boolean | undefined;
  readonly force?: boolean | undefined;
  readonly dryRun?: boolean | undefined;
}

export async function deleteResources(cli: Cli, options: DeleteOptions): Promise<ExitStatus> {
  const { kind, names, filename, recursive = false, force = false, dryRun = false } = options;
  const named = kind === undefined ? undefined : parseReferences(kind, names);
  if ((filename.length === 0) === (named === undefined || named.names.length === 0)) {
    throw new CliError("cannot delete: wanted a kind and names, or -f with a file", exitStatus.usage);
  }
  const targets =
    filename.length === 0
      ? (named?.names ?? []).map((name) => ({ kind: named?.kind as ResourceKind, metadata: { name } }))
      : (await readInputs(cli, filename, { recursive, withNetworks: false })).flatMap(({ text, source }) =>
          parseResources(text, source),
        );
  const remove = (store: Store) => (target: Pick<Resource, "kind" | "metadata">) =>
    target.kind === "WorkloadEndpoint"
      ? planEndpointDelete(cli, qualifiedName(target), force)
      : { ...drive(deleteResource(target.kind, target.metadata.name, force), store) };
  return changeAll(cli, targets, remove, dryRun, "delete");
}

type Planned = Change & { readonly execute?: () => void };

/** First over a copy of the store, then, if everything succeeded, over the store itself; both under its lock. */
function changeAll<T>(
  cli: Cli,
  items: readonly T[],
  change: (store: Store) => (item: T) => Planned,
  dryRun: boolean,
  verb: Verb | "delete",
): ExitStatus {
  const plan = (store: Store) => planAll(cli, items, change(dryRunStore(store)));
  // A dry run needs no lock, so that a user who may only read can make one.
  if (dryRun) return finish(cli, plan(datastoreOf(cli).store), verb, " (dry run)");
  const changes = datastoreOf(cli).exclusively((store) => {
    if (plan(store) === undefined) return undefined;
    return items.map((item) => {
      const planned = change(store)(item);
      planned.execute?.();
      return planned;
    });
  });
  return finish(cli, changes, verb, "");
}

/** `undefined` if one of them is refused; prints each refusal. */
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
