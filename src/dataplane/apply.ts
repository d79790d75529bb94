/**
 * Applies a plan to the kernel. Without conflicts it takes a few sends:
 *
 *      host      NEWLINK veth (creates the peer in the sandbox), NEWLINK ifb, GETLINK …
 *      host      SETLINK alias
 *      host      /proc/sys
 *      sandbox   /proc/sys, and a socket
 *      sandbox   up, addresses, neighbours, routes, …
 *      host      up, addresses, neighbours, routes, qdiscs, filters; GETLINK of a veth, for its MAC address
 *      host      nf_tables
 *
 * Optimistic: it looks at an object only after EEXIST. An equal object counts as done; a different one is replaced if it is ours.
 * A roll-back leaves sysctls: those of links vanish with the links, the others belong to the node.
 */

import { CoreError } from "../errors/core-error.ts";
import { getLink, type Link, readLink } from "../netlink/link.ts";
import type { IptablesPorts, RemovedChain } from "../plan/iptables.ts";
import { inOrder } from "../plan/order.ts";
import type { Place, Plan, Resource } from "../plan/resource.ts";
import { type ApplyOptions, ApplyRun } from "./apply-run.ts";
import type { Outcome } from "./connection.ts";
import type { MessageContext } from "./driver.ts";
import { isLink, isMessage, isTable, type MessageResource, messageDriver } from "./drivers.ts";
import { ConflictError, hasErrno, KernelError, systemCallError } from "./errors.ts";
import { applyPorts, removePorts } from "./iptables/ports.ts";
import { writeSysctls } from "./kinds/sysctl.ts";
import { endsIn, makeLinks } from "./links/links.ts";
import { holdMacs } from "./links/macs.ts";
import { type Namespaces, placeText } from "./namespaces.ts";
import { applyNft } from "./nftables/apply.ts";
import { moveWaitingIn } from "./nftables/waiting.ts";

/** The properties of the applied links. */
export interface Applied {
  /** MAC address and MTU as the kernel reports them, by `<place>:<name>`. */
  readonly links: ReadonlyMap<string, Pick<Link, "index" | "mac" | "mtu">>;
  /** Removed iptables chains of attachments that have ended. */
  readonly madeRoom: readonly RemovedChain[];
  /** Rolls back what this call created, and nothing else. */
  undo(): void;
}

/**
 * Applies the plan; a repeated call is harmless. On failure it rolls back what it created, and throws an error that names the resource.
 */
export function apply(plan: Plan, namespaces: Namespaces, options: ApplyOptions = {}): Applied {
  const run = new ApplyRun(plan, plan.resources.filter(isLink), namespaces, options);
  try {
    const resources = inOrder(plan.resources);
    const messages = resources.filter(isMessage);
    const onHost = messages.filter(({ at }) => at === "host");
    const inSandbox = messages.filter(({ at }) => at === "sandbox");
    makeLinks(run, "host", mentionedLinks(onHost));
    const sysctls = resources.filter(isSysctl);
    writeSysctls(
      sysctls.filter(({ afterFirewall }) => !afterFirewall),
      namespaces,
    );
    makeLinks(run, "sandbox", mentionedLinks(inSandbox));
    send(run, "sandbox", inSandbox, finalLooks(run, "sandbox"));
    send(run, "host", onHost, finalLooks(run, "host"));
    holdMacs(run);
    const tables = resources.filter(isTable);
    if (tables.length > 0) {
      const applied = applyNft(tables, plan.owner, namespaces.sys);
      run.undo.add(
        () => ["take back", "nf_tables objects"],
        () => applied.undo(),
      );
      // A holder may have released a key meanwhile without seeing that this owner waits for it.
      moveWaitingIn(applied.waiting, namespaces.sys);
    }
    const madeRoom = resources.filter(isPorts).flatMap((ports) => mapPorts(run, ports));
    writeSysctls(
      sysctls.filter(({ afterFirewall }) => afterFirewall),
      namespaces,
    );
    return { links: linksOf(run), madeRoom, undo: () => run.undo.run(namespaces) };
  } catch (error) {
    throw withRollback(run, systemCallError(["apply", "the plan"], error));
  }
}

function isSysctl(resource: Resource): resource is Extract<Resource, { kind: "sysctl" }> {
  return resource.kind === "sysctl";
}

function isPorts(resource: Resource): resource is IptablesPorts {
  return resource.kind === "iptables-ports";
}

/** A chain that existed before this call is not rolled back. */
function mapPorts({ undo, options, namespaces: { sys } }: ApplyRun, ports: IptablesPorts): readonly RemovedChain[] {
  const { layout, family, chain } = ports;
  const removal = { kind: "iptables-ports", layout, families: [family], chain, isForeign: () => false } as const;
  const onNew = () =>
    undo.add(
      () => ["remove", `chain ${chain}`],
      () => void removePorts({ ...removal, isForeign: options.portHolders?.isForeign ?? removal.isForeign }, sys),
    );
  return applyPorts(ports, options.portHolders, onNew, sys);
}

function mentionedLinks(messages: readonly MessageResource[]): readonly string[] {
  return messages.flatMap((resource) => messageDriver(resource).links(resource));
}

/** Sends all messages of a namespace at once, with a GETLINK for each of the `looks`. */
function send(run: ApplyRun, place: Place, messages: readonly MessageResource[], looks: readonly string[]): void {
  if (messages.length + looks.length === 0) return;
  const context = contextIn(run, place);
  const requests = messages.map((resource) => messageDriver(resource).create(resource, context, false));
  const outcomes = run.namespaces.connection(place).exchange([...requests, ...looks.map((name) => getLink(name))]);
  const sent = messages.map((resource, at) => ({ resource, outcome: outcomes[at] as Outcome }));
  for (const { resource, outcome } of sent) if (outcome.errno === 0) registerRemoval(run, resource);
  for (const { resource, outcome } of sent) if (outcome.errno !== 0) reconcile(run, resource, outcome);
  for (const outcome of outcomes.slice(messages.length)) {
    const reply = outcome.replies[0];
    if (outcome.errno !== 0 || reply === undefined)
      throw new KernelError(["read", `a link back${placeText(place)}`], outcome);
    run.learn(place, readLink(reply));
  }
}

/**
 * The links to read again. On the host udev may have changed a MAC address. It does not act in sandboxes, so there only unknown links are
 * read.
 */
function finalLooks(run: ApplyRun, place: Place): readonly string[] {
  const ends = endsIn(run.links, place)
    .filter(({ readBack }) => readBack)
    .map(({ name }) => name);
  return place === "host" ? ends : ends.filter((name) => run.link(place, name) === undefined);
}

function contextIn(run: ApplyRun, place: Place): MessageContext {
  return { indexOf: (name) => run.indexOf(place, name), owner: run.plan.owner };
}

/** Nothing to register on a link that this call created: it vanishes with the link. */
function registerRemoval(run: ApplyRun, resource: MessageResource): void {
  const driver = messageDriver(resource);
  const { at } = resource;
  const { remove } = driver;
  if (remove === undefined || driver.links(resource).some((name) => run.created.has(`${at}:${name}`))) return;
  run.undo.addRequest(
    () => ["remove", driver.describe(resource)],
    at,
    (connection) => remove(resource, contextIn(run, at), connection),
  );
}

/** Handles a refusal: an equal object counts as done, our own outdated one is replaced, anything else is an error. */
function reconcile(run: ApplyRun, resource: MessageResource, outcome: Outcome): void {
  const driver = messageDriver(resource);
  const { at } = resource;
  const { namespaces } = run;
  const isThere = hasErrno(outcome, "EEXIST");
  if (isThere && driver.isShared) return;
  const verb = driver.verb ?? "add";
  const what = `${driver.describe(resource)}${placeText(at)}`;
  if (!isThere) throw new KernelError([verb, what], outcome);
  namespaces.lookAgain(at);
  const differences = driver.diff(resource, namespaces);
  if (differences.length === 0) return;
  if (!driver.mayReplace(resource, run)) {
    const instead: readonly MessageResource[] | undefined = driver.instead?.(resource, namespaces);
    if (!instead)
      throw new ConflictError(
        [verb, what],
        `conflicts with an existing object that Tortie does not own: ${differences.join("; ")}`,
      );
    send(run, at, instead, []);
    return;
  }
  const request = driver.create(resource, contextIn(run, at), true);
  const replaced = namespaces.connection(at).request(request);
  if (replaced.errno !== 0) throw new KernelError([verb, `${what} instead of the existing one`], replaced);
}

function linksOf(run: ApplyRun): Applied["links"] {
  const links = new Map<string, Link>();
  for (const place of ["host", "sandbox"] satisfies Place[]) {
    for (const { name } of endsIn(run.links, place)) {
      const link = run.link(place, name);
      if (link) links.set(`${place}:${name}`, link);
    }
  }
  return links;
}

/** Rolls back, and returns the error together with failures of the roll-back. */
function withRollback(run: ApplyRun, error: unknown): unknown {
  try {
    run.undo.run(run.namespaces);
    return error;
  } catch (failure) {
    if (error instanceof CoreError && failure instanceof CoreError) error.rollback = failure;
    return error;
  }
}
