/**
 * Creates the links of a plan, and reconciles them with existing ones.
 *
 *      NEWLINK ok ───────────────────────────────────────────────▶ set the alias to the owner
 *      NEWLINK EEXIST ─▶ look ─▶ ours, the right pair ───────────▶ update what differs
 *                          ├──▶ ours but old, of an earlier sandbox
 *                          │    of the pod, or its peer is gone ─▶ DELLINK, NEWLINK
 *                          └──▶ foreign, or in the sandbox ──────▶ an error that names it
 *
 * The alias cannot be part of NEWLINK, nor of the same send: after EEXIST it would be written to a foreign link. A process that is killed between
 * the two leaves a link without an owner, which is recognised by the properties of its creation (`signature`).
 */
import { deleteLink, getLink, readLink, setLink } from "../../netlink/link.ts";
import type { Request } from "../../netlink/message.ts";
import { createLink } from "../../netlink/new-link.ts";
import type { LinkResource, Place } from "../../plan/resource.ts";
import type { ApplyRun } from "../apply-run.ts";
import type { Outcome } from "../connection.ts";
import { linkDriver } from "../drivers.ts";
import { hasErrno, KernelError } from "../errors.ts";
import { findLink } from "../kernel-state.ts";
import { placeText } from "../namespaces.ts";
import type { LinkEndAt } from "./driver.ts";
import { isUnclaimed } from "./signature.ts";

/** Creates the plan's links in one namespace and looks up all mentioned links, with one send if there is no conflict. */
export function makeLinks(run: ApplyRun, place: Place, mentioned: readonly string[]): void {
  const wanted = run.links.filter((link) => mainEnd(link).place === place);
  const names = wanted.map((link) => mainEnd(link).name);
  for (const name of mentioned) if (!names.includes(name) && !run.knows(place, name)) names.push(name);
  if (names.length === 0) return;
  const requests = wanted.map((link) => creationOf(link, run));
  const lookups = names.map((name) => getLink(name));
  const outcomes = run.namespaces.connection(place).exchange([...requests, ...lookups]);
  const made = wanted.map((link, at) => ({ link, outcome: outcomes[at] as Outcome }));
  // Registers created links before anything can fail: the kernel continues after a refused message.
  for (const { link, outcome } of made) if (outcome.errno === 0) registerCreated(run, link);
  for (const outcome of outcomes.slice(requests.length)) learn(run, place, outcome);
  for (const { link, outcome } of made) {
    if (hasErrno(outcome, "EEXIST")) reconcile(run, link);
    else if (outcome.errno !== 0) throw new KernelError(["create", linkDriver(link).describe(link)], outcome);
  }
  setOwner(run, place, wanted);
  for (const link of wanted) linkDriver(link).learnEnds?.(link, run);
}

/** The ends of a plan's links in one place. */
export function endsIn(links: readonly LinkResource[], place: Place): readonly LinkEndAt[] {
  return links.flatMap((link) => linkDriver(link).ends(link)).filter((end) => end.place === place);
}

function creationOf<L extends LinkResource>(link: L, run: ApplyRun): Request {
  return createLink(link.kind, linkDriver(link).create(link, run));
}

function mainEnd(link: LinkResource): LinkEndAt {
  return linkDriver(link).ends(link)[0];
}

function learn(run: ApplyRun, place: Place, outcome: Outcome): void {
  const reply = outcome.replies[0];
  if (outcome.errno === 0 && reply !== undefined) run.learn(place, readLink(reply));
  else if (!hasErrno(outcome, "ENODEV")) throw new KernelError(["look for", `links${placeText(place)}`], outcome);
}

function registerCreated(run: ApplyRun, link: LinkResource): void {
  const ends = linkDriver(link).ends(link);
  for (const end of ends) run.created.add(`${end.place}:${end.name}`);
  const [{ place, name }] = ends;
  run.undo.addRequest(
    () => ["delete", `link "${name}"`],
    place,
    (connection) => {
      // The lookup in the same send may have failed.
      const index = run.link(place, name)?.index ?? findLink(connection, name)?.index;
      return index === undefined ? undefined : deleteLink(index);
    },
  );
}

/** Writes the owner as alias to new links. */
function setOwner(run: ApplyRun, place: Place, wanted: readonly LinkResource[]): void {
  const fresh = wanted.map(mainEnd).filter(({ name }) => run.created.has(`${place}:${name}`));
  if (fresh.length === 0) return;
  const alias = run.plan.owner;
  const outcomes = run.namespaces
    .connection(place)
    .exchange(fresh.map(({ name }) => setLink(run.indexOf(place, name), { alias })));
  for (const [at, outcome] of outcomes.entries()) {
    if (outcome.errno === 0) continue;
    const what = `alias "${alias}" on link "${fresh[at]?.name}"${placeText(place)}`;
    throw new KernelError(["set", what], outcome);
  }
}

function reconcile(run: ApplyRun, link: LinkResource): void {
  const driver = linkDriver(link);
  const adoption = driver.adopt(link, run);
  if (adoption === "adopted") return;
  const { place, name } = mainEnd(link);
  const connection = run.namespaces.connection(place);
  if (adoption.old !== undefined) {
    const deleted = connection.request(deleteLink(adoption.old.index));
    // It may vanish meanwhile, while the kernel dismantles its sandbox.
    if (deleted.errno !== 0 && !hasErrno(deleted, "ENODEV")) {
      throw new KernelError(["replace", `link "${adoption.old.name}"${placeText(place)}`], deleted);
    }
  }
  const [created, looked] = connection.exchange([creationOf(link, run), getLink(name)]) as [Outcome, Outcome];
  // Answers were lost and the request was sent twice: the existing link is from the first send.
  const again =
    hasErrno(created, "EEXIST") &&
    looked.replies[0] !== undefined &&
    isUnclaimed(readLink(looked.replies[0]), driver.signature(link));
  if (created.errno !== 0 && !again) throw new KernelError(["create", driver.describe(link)], created);
  registerCreated(run, link);
  learn(run, place, looked);
}
