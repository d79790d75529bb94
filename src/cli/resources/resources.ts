/** `tortie create`, `apply`, `replace`, `validate` and `delete`. */
import type { Transaction } from "../../store/transaction.ts";
import type { Cli } from "../cli.ts";
import { CliError, type ExitStatus, exitStatus } from "../error.ts";
import { networkIn, validateNetwork } from "../lint/validate.ts";
import { collisionWarnings } from "../node/networks.ts";
import { readStore, storeType, writeStore } from "../store.ts";
import { deleteResource } from "./delete.ts";
import { withoutWrites } from "./dry-run.ts";
import { planEndpointDelete, planEndpointWrite } from "./endpoint.ts";
import { type Input, readInputs } from "./input-files.ts";
import { type ResourceKind, refusalOf } from "./kinds.ts";
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
  const write = function* (resource: Resource): Transaction<Planned> {
    requireAccepted(cli, verb, resource);
    return isStored(resource)
      ? yield* writeResource(storeType(cli), verb, resource, force)
      : planEndpointWrite(cli, verb, resource);
  };
  const status = await changeAll(cli, resources, write, dryRun === true || verb === "validate", verb);
  const isNodes = status === exitStatus.done && cli.cluster === undefined;
  const warnings = isNodes ? await collisionWarnings(cli, resources) : [];
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
  const remove = function* (target: Target): Transaction<Planned> {
    requireAccepted(cli, "delete", target);
    return target.kind === "WorkloadEndpoint" && cli.cluster === undefined
      ? planEndpointDelete(cli, qualifiedName(target), force)
      : yield* deleteResource(target.kind, nameForDelete(target), force);
  };
  return await changeAll(cli, targets, remove, dryRun, "delete");
}

type Target = Pick<Resource, "kind" | "metadata">;

function nameForDelete(target: Target): string {
  return target.kind === "WorkloadEndpoint" ? qualifiedName(target) : target.metadata.name;
}

function requireAccepted(cli: Cli, verb: Verb | "delete", resource: Target): void {
  const refusal = refusalOf(storeType(cli), resource.kind, verb);
  if (refusal !== undefined) throw new CliError(`cannot ${verb} ${nameOf(resource)}: ${refusal}`);
}

type Planned = Change & { readonly execute?: () => void };

/** First without writes, then, if everything succeeded, with them; of a node's files both under their lock. */
async function changeAll<T>(
  cli: Cli,
  items: readonly T[],
  change: (item: T) => Transaction<Planned>,
  dryRun: boolean,
  verb: Verb | "delete",
): Promise<ExitStatus> {
  const tell = (changed: Planned) => tellChange(cli, changed, verb, dryRun ? " (dry run)" : "");
  const plan = () => withoutWrites(planAll(cli, items, change));
  // A dry run needs no lock, so that a user who may only read can make one.
  const isDone = dryRun
    ? await readStore(cli, plan()).then((changes) => changes?.every(tell))
    : await writeStore(cli, executeAll(plan(), items, change, tell));
  return isDone === true ? exitStatus.done : exitStatus.failed;
}

/** `undefined` if one of them is refused; prints each refusal. */
function* planAll<T>(
  cli: Cli,
  items: readonly T[],
  change: (item: T) => Transaction<Planned>,
): Transaction<readonly Planned[] | undefined> {
  const planned: Planned[] = [];
  for (const item of items) {
    try {
      planned.push(yield* change(item));
    } catch (error) {
      if (!(error instanceof CliError)) throw error;
      cli.note(`tortie: ${error.message}`);
    }
  }
  return planned.length === items.length ? planned : undefined;
}

/** Whether the plan allowed it. Tells each change when it is made: a cluster may refuse a later one. */
function* executeAll<T>(
  plan: ReturnType<typeof planAll>,
  items: readonly T[],
  change: (item: T) => Transaction<Planned>,
  tell: (changed: Planned) => boolean,
): Transaction<boolean> {
  if ((yield* plan) === undefined) return false;
  for (const item of items) {
    const planned = yield* change(item);
    planned.execute?.();
    tell(planned);
  }
  return true;
}

function tellChange(cli: Cli, { action, resource, more, warnings = [] }: Planned, verb: string, suffix: string): true {
  for (const warning of warnings) cli.note(`tortie: warning: ${nameOf(resource)}: ${warning}`);
  const done = verb === "validate" ? "valid" : `${action}${more === undefined ? "" : `, ${more}`}${suffix}`;
  cli.out(`${nameOf(resource)} ${done}\n`);
  return true;
}

function isStored(resource: Resource): resource is StoredResource {
  return resource.kind !== "WorkloadEndpoint";
}
