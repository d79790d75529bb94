/**
 * Makes the kernel hold what a plan says. With nothing in the way it is a few sends:
 *
 *      host      NEWLINK veth (the peer is born in the sandbox), NEWLINK ifb, GETLINK …
 *      host      SETLINK alias
 *      host      /proc/sys
 *      sandbox   /proc/sys, and a socket
 *      sandbox   up, addresses, neighbours, routes, …
 *      host      up, addresses, neighbours, routes, qdiscs, filters; GETLINK of a veth, for its MAC address
 *      host      nf_tables
 *
 * Optimistic: only where the kernel says EEXIST does it look; equal means done, else what is ours is replaced.
 * Sysctls are not taken back on failure: those of links go with them, the others belong to the node.
 */

import { CoreError } from "../errors/core-error.ts";
import { getLink, readLink } from "../netlink/link.ts";
import { inOrder } from "../plan/order.ts";
import type { Place, Plan, Resource } from "../plan/resource.ts";
import type { Outcome } from "./connection.ts";
import type { Applied, Scene } from "./dataplane.ts";
import type { World } from "./driver.ts";
import { isLink, isMessage, isTable, type MessageResource, messageDriver } from "./drivers.ts";
import { ConflictError, KernelError, refusedWith, systemCallError } from "./errors.ts";
import { writeSysctls } from "./kinds/sysctl.ts";
import { makeLinks } from "./links/links.ts";
import { holdMacs } from "./links/macs.ts";
import { applyNft } from "./nftables/apply.ts";
import { type Places, placeText } from "./places.ts";
import { Stage } from "./stage.ts";
import { View } from "./view.ts";

export interface ApplyOptions {
  /** Whether a host link with this alias may be taken away to make room: it belonged to an earlier sandbox of the same pod. */
  readonly mayReplace?: (alias: string) => boolean;
  /** Conversations of the same scene that are open already, and links that were seen over them. They stay open. */
  readonly places?: Places;
}

/**
 * Makes the kernel hold what the plan says; a repeated call is harmless. Throws an error that names the resource, and takes back
 * what it created before that.
 */
export function apply(plan: Plan, scene: Scene, options: ApplyOptions = {}): Applied {
  const stage = new Stage(plan, scene, options);
  try {
    const resources = inOrder(plan.resources);
    const messages = resources.filter(isMessage);
    makeLinks(stage, "host", mentionedLinks(messages, "host"));
    writeSysctls(resources.filter(isSysctl), stage.places);
    makeLinks(stage, "sandbox", mentionedLinks(messages, "sandbox"));
    sendMessages(stage, "sandbox", messages);
    sendMessages(stage, "host", messages);
    holdMacs(stage);
    const tables = resources.filter(isTable);
    if (tables.length > 0) {
      const applied = applyNft(tables, plan.owner, scene.sys);
      stage.undo.add(
        () => ["take back", "nf_tables objects"],
        () => applied.undo(),
      );
    }
    return { links: linksOf(stage), undo: () => stage.undo.run(scene) };
  } catch (error) {
    throw withRollback(stage, systemCallError(["apply", "the plan"], error));
  } finally {
    stage.close();
  }
}

function isSysctl(resource: Resource): resource is Extract<Resource, { kind: "sysctl" }> {
  return resource.kind === "sysctl";
}

function mentionedLinks(messages: readonly MessageResource[], place: Place): readonly string[] {
  return messages.filter(({ at }) => at === place).flatMap((resource) => messageDriver(resource).links(resource));
}

/** One send for all of a place, and with it a last look at the links made there. */
function sendMessages(stage: Stage, place: Place, all: readonly MessageResource[]): void {
  const messages = all.filter(({ at }) => at === place);
  send(stage, place, messages, finalLooks(stage, place));
}

function send(stage: Stage, place: Place, messages: readonly MessageResource[], looks: readonly string[]): void {
  if (messages.length + looks.length === 0) return;
  const indexOf = (name: string) => stage.indexOf(place, name);
  const requests = messages.map((resource) => messageDriver(resource).create(resource, indexOf, false));
  const outcomes = stage.places.connection(place).exchange([...requests, ...looks.map((name) => getLink(name))]);
  const sent = messages.map((resource, at) => ({ resource, outcome: outcomes[at] as Outcome }));
  for (const { resource, outcome } of sent) if (outcome.errno === 0) registerRemoval(stage, resource);
  for (const { resource, outcome } of sent) if (outcome.errno !== 0) settle(stage, resource, outcome);
  for (const outcome of outcomes.slice(messages.length)) {
    const reply = outcome.replies[0];
    if (outcome.errno !== 0 || reply === undefined)
      throw new KernelError(["read", `a link back${placeText(place)}`], outcome);
    stage.learn(place, readLink(reply));
  }
}

/**
 * The ends of pairs that are to be looked at once more: on the host udev may have changed the address by now. Into a sandbox it does not
 * reach, so there only what is not known yet is looked for.
 */
function finalLooks(stage: Stage, place: Place): readonly string[] {
  const ends = stage.plan.resources.filter((link) => link.kind === "veth").map((pair) => pair[place].name);
  return place === "host" ? ends : ends.filter((name) => stage.link(place, name) === undefined);
}

/** The names of the plan's own links in a place. */
function ownLinks(stage: Stage, place: Place): readonly string[] {
  return stage.plan.resources
    .filter(isLink)
    .flatMap((link) => (link.kind === "veth" ? [link[place].name] : link.at === place ? [link.name] : []));
}

/** What sits on a link made by this call goes with the link. */
function registerRemoval(stage: Stage, resource: MessageResource): void {
  const driver = messageDriver(resource);
  const { at } = resource;
  const { remove } = driver;
  if (remove === undefined || driver.links(resource).some((name) => stage.created.has(`${at}:${name}`))) return;
  stage.undo.addRequest(
    () => ["remove", driver.describe(resource)],
    at,
    () => remove(resource, (name) => stage.indexOf(at, name)),
  );
}

/** What the kernel refused: it is there already, or it replaces what is ours, or it is an error. */
function settle(stage: Stage, resource: MessageResource, outcome: Outcome): void {
  const driver = messageDriver(resource);
  const { at } = resource;
  const verb = resource.kind === "up" ? "set" : "add";
  const what = `${driver.describe(resource)}${placeText(at)}`;
  if (!refusedWith(outcome, "EEXIST")) throw new KernelError([verb, what], outcome);
  if (driver.isShared) return;
  const connection = stage.places.connection(at);
  const view = new View(() => connection);
  const world: World = { owner: stage.plan.owner, view: () => view, isEarlier: stage.options.mayReplace };
  const differences = driver.judge(resource, world);
  if (differences.length === 0) return;
  if (!driver.mayReplace(resource, world)) {
    const instead = resource.kind === "route" ? resource.instead : undefined;
    if (!instead) throw new ConflictError([verb, what], `another is in the way: ${differences.join("; ")}`);
    send(stage, at, instead, []);
    return;
  }
  const replaced = connection.request(driver.create(resource, (name) => stage.indexOf(at, name), true));
  if (replaced.errno !== 0) throw new KernelError([verb, `${what} in the place of another`], replaced);
}

function linksOf(stage: Stage): Applied["links"] {
  const links = new Map<string, { index: number; mac: string; mtu: number }>();
  for (const place of ["host", "sandbox"] satisfies Place[]) {
    for (const name of ownLinks(stage, place)) {
      const link = stage.link(place, name);
      if (link) links.set(`${place}:${name}`, { index: link.index, mac: link.mac ?? "", mtu: link.mtu });
    }
  }
  return links;
}

/** The error, with what could not be taken back. */
function withRollback(stage: Stage, error: unknown): unknown {
  try {
    stage.undo.run(stage.places.scene);
    return error;
  } catch (failure) {
    if (error instanceof CoreError && failure instanceof CoreError) error.rollback = failure;
    return error;
  }
}
