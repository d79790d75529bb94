/**
 * Makes the links of a plan, and settles what is in the way.
 *
 *      NEWLINK ok ───────────────────────────────────────────────▶ alias := owner
 *      NEWLINK EEXIST ─▶ look ─▶ ours, the right pair ───────────▶ what differs is set
 *                          ├──▶ ours but old, of an earlier sandbox
 *                          │    of the pod, or its peer is gone ─▶ DELLINK, NEWLINK
 *                          └──▶ another's, or in the sandbox ────▶ an error that names it
 *
 * The alias cannot go with NEWLINK, and not into the same send either: after EEXIST it would land on another's link. A process killed
 * between the two leaves a link without an owner: it counts as ours by what it was born with (`isUnclaimed`).
 */
import { createIfb, createVeth, deleteLink, getLink, type Link, readLink, setLink } from "../../netlink/link.ts";
import type { Request } from "../../netlink/message.ts";
import type { IfbLink, Place, VethPair } from "../../plan/resource.ts";
import type { Outcome } from "../connection.ts";
import { isLink, type LinkResource } from "../drivers.ts";
import { ConflictError, KernelError, refusedWith } from "../errors.ts";
import { placeText } from "../places.ts";
import type { Stage } from "../stage.ts";
import { findLink } from "../view.ts";
import { isUnclaimed } from "./unclaimed.ts";
import { arePair } from "./veth.ts";

const dismantlingMs = 200;
const dismantlingPauseMs = 10;

/** Makes the plan's links in one place and learns the indexes of all that are named there, with one send where nothing is in the way. */
export function makeLinks(stage: Stage, place: Place, mentioned: readonly string[]): void {
  const wanted = stage.plan.resources.filter(isLink).filter((link) => placeOf(link) === place);
  const names = wanted.map(nameOf);
  for (const name of mentioned) if (!names.includes(name) && !stage.knows(place, name)) names.push(name);
  if (names.length === 0) return;
  const requests = wanted.map((link) => creation(stage, link));
  const lookups = names.map((name) => getLink(name));
  const outcomes = stage.places.connection(place).exchange([...requests, ...lookups]);
  const made = wanted.map((link, at) => ({ link, outcome: outcomes[at] as Outcome }));
  // What the kernel made is noted before anything can fail: it goes on after a message that it refused.
  for (const { link, outcome } of made) if (outcome.errno === 0) registerCreated(stage, link);
  for (const outcome of outcomes.slice(requests.length)) learn(stage, place, outcome);
  for (const { link, outcome } of made) {
    if (refusedWith(outcome, "EEXIST")) settle(stage, link);
    else if (outcome.errno !== 0) throw new KernelError(["create", `${describeLink(link)}`], outcome);
  }
  claim(stage, place, wanted);
  for (const link of wanted) if (link.kind === "veth") learnPeer(stage, link);
}

function placeOf(link: LinkResource): Place {
  return link.kind === "veth" ? "host" : link.at;
}

function nameOf(link: LinkResource): string {
  return link.kind === "veth" ? link.host.name : link.name;
}

function describeLink(link: LinkResource): string {
  if (link.kind === "ifb") return `ifb "${link.name}"${placeText(link.at)}`;
  return `veth "${link.host.name}" on the host with "${link.sandbox.name}" in the sandbox`;
}

function creation(stage: Stage, link: LinkResource): Request {
  if (link.kind === "ifb") return createIfb(link);
  const { host, sandbox, mtu, queues } = link;
  return createVeth({ end: host, peer: sandbox, peerNetnsFd: stage.sandboxFd(), mtu, queues });
}

function learn(stage: Stage, place: Place, outcome: Outcome): void {
  const reply = outcome.replies[0];
  if (outcome.errno === 0 && reply !== undefined) stage.learn(place, readLink(reply));
  else if (!refusedWith(outcome, "ENODEV")) throw new KernelError(["look for", `links${placeText(place)}`], outcome);
}

/** What is known of the other end without looking: a new pair has one MTU and the addresses that it was made with. */
function learnPeer(stage: Stage, { host, sandbox: { name, mac }, queues = 1 }: VethPair): void {
  const end = stage.link("host", host.name);
  if (end?.peerIndex === undefined || !stage.created.has(`host:${host.name}`)) return;
  if (mac === undefined) {
    stage.learnIndex("sandbox", name, end.peerIndex);
    return;
  }
  stage.learn("sandbox", {
    index: end.peerIndex,
    name,
    up: false,
    mac,
    mtu: end.mtu,
    alias: undefined,
    kind: "veth",
    peerIndex: end.index,
    peerNetnsId: undefined,
    txQueueLength: end.txQueueLength,
    txQueues: queues,
    rxQueues: queues,
  });
}

function registerCreated(stage: Stage, link: LinkResource): void {
  const place = placeOf(link);
  const name = nameOf(link);
  stage.created.add(`${place}:${name}`);
  if (link.kind === "veth") stage.created.add(`sandbox:${link.sandbox.name}`);
  stage.undo.addRequest(
    () => ["delete", `link "${name}"`],
    place,
    (connection) => {
      // The look that followed it may have failed.
      const index = stage.link(place, name)?.index ?? findLink(connection, name)?.index;
      return index === undefined ? undefined : deleteLink(index);
    },
  );
}

/** Puts the owner's name on what was just created. */
function claim(stage: Stage, place: Place, wanted: readonly LinkResource[]): void {
  const fresh = wanted.filter((link) => stage.created.has(`${place}:${nameOf(link)}`));
  if (fresh.length === 0) return;
  const alias = stage.plan.owner;
  const outcomes = stage.places
    .connection(place)
    .exchange(fresh.map((link) => setLink(stage.indexOf(place, nameOf(link)), { alias })));
  for (const [at, outcome] of outcomes.entries()) {
    if (outcome.errno === 0) continue;
    throw new KernelError(
      ["set alias", `"${alias}" on link "${nameOf(fresh[at] as LinkResource)}"${placeText(place)}`],
      outcome,
    );
  }
}

function settle(stage: Stage, link: LinkResource): void {
  const settled = link.kind === "veth" ? settleVeth(stage, link) : settleIfb(stage, link);
  if (settled === "repeated") return;
  const place = placeOf(link);
  const connection = stage.places.connection(place);
  if (settled.old !== undefined) {
    const deleted = connection.request(deleteLink(settled.old.index));
    // It may go by itself meanwhile: its sandbox is being dismantled.
    if (deleted.errno !== 0 && !refusedWith(deleted, "ENODEV")) {
      throw new KernelError(["replace", `link "${settled.old.name}"${placeText(place)}`], deleted);
    }
  }
  const [created, looked] = connection.exchange([creation(stage, link), getLink(nameOf(link))]) as [Outcome, Outcome];
  // Sent twice, since answers were lost: what is there is what the first sending made.
  const again =
    refusedWith(created, "EEXIST") && looked.replies[0] !== undefined && isNew(readLink(looked.replies[0]), link);
  if (created.errno !== 0 && !again) throw new KernelError(["create", `${describeLink(link)}`], created);
  registerCreated(stage, link);
  learn(stage, place, looked);
}

function isNew(found: Link, link: LinkResource): boolean {
  return isUnclaimed(found, link.kind === "veth" ? { kind: "veth", mac: link.host.mac } : { kind: "ifb" });
}

/** The link is there already, or it is to be made after `old` (which may have gone by itself) is deleted. */
type Settled = "repeated" | { readonly old: Link | undefined };

function settleVeth(stage: Stage, pair: VethPair): Settled {
  const { host, sandbox } = pair;
  const ours = stage.link("host", host.name);
  const inside = findLink(stage.places.connection("sandbox"), sandbox.name);
  if (ours !== undefined && inside !== undefined && ours.alias === stage.plan.owner && arePair(ours, inside)) {
    adjust(stage, "host", ours, { mac: host.mac, mtu: pair.mtu });
    adjust(stage, "sandbox", inside, { mac: sandbox.mac, mtu: pair.mtu });
    return "repeated";
  }
  const unclaimed = ours !== undefined && isUnclaimed(ours, { kind: "veth", mac: host.mac });
  if (inside !== undefined && unclaimed && arePair(ours, inside)) return { old: ours };
  if (inside !== undefined) {
    const reason = `a link of the name "${sandbox.name}" is there already, and it is not ours`;
    throw new ConflictError(["create", describeLink(pair)], reason, inside.alias);
  }
  if (ours === undefined || unclaimed || mayTakeAway(ours, stage)) return { old: ours };
  const later = awaitDismantling(stage, ours);
  if (later === undefined || peerIsGone(later)) return { old: later };
  throw inTheWay(pair, later);
}

function settleIfb(stage: Stage, ifb: IfbLink): Settled {
  const found = stage.link(ifb.at, ifb.name);
  if (found === undefined) return { old: undefined };
  if (found.kind === "ifb" && found.alias === stage.plan.owner) {
    adjust(stage, ifb.at, found, { mtu: ifb.mtu, txQueueLength: ifb.txQueueLength });
    return "repeated";
  }
  if (isUnclaimed(found, { kind: "ifb" }) || mayTakeAway(found, stage)) return { old: found };
  throw inTheWay(ifb, found);
}

/** Only links that carry an owner can be an older form of ours. */
function mayTakeAway({ alias }: Link, { plan, options }: Stage): boolean {
  return alias !== undefined && (alias === plan.owner || options.mayReplace?.(alias) === true);
}

/**
 * A sandbox that has just ended keeps its links for some milliseconds, and in the first of them the kernel still reports the peer's
 * namespace as if it were alive (seen in Linux 6.18). So another's link gets a moment to go before it is an obstacle.
 */
function awaitDismantling(stage: Stage, obstacle: Link): Link | undefined {
  const { sys } = stage.places.scene;
  const deadline = sys.monotonicMs() + dismantlingMs;
  let found: Link | undefined = obstacle;
  while (found !== undefined && !peerIsGone(found) && sys.monotonicMs() < deadline) {
    sys.sleepMs(dismantlingPauseMs);
    found = findLink(stage.places.connection("host"), obstacle.index);
  }
  return found;
}

/** The other end's namespace is being dismantled (NETNSA_NSID_NOT_ASSIGNED), or the end is. */
function peerIsGone({ kind, peerIndex, peerNetnsId }: Link): boolean {
  return kind === "veth" && (peerNetnsId === -1 || !peerIndex);
}

function inTheWay(link: LinkResource, found: Link): ConflictError {
  const whose = found.alias === undefined ? "and has no owner that we know" : `and belongs to "${found.alias}"`;
  return new ConflictError(["create", describeLink(link)], `link "${found.name}" exists ${whose}`, found.alias);
}

function adjust(
  stage: Stage,
  place: Place,
  found: Link,
  wanted: {
    readonly mac?: string | undefined;
    readonly mtu?: number | undefined;
    readonly txQueueLength?: number | undefined;
  },
): void {
  const changes = {
    mac: wanted.mac === found.mac ? undefined : wanted.mac,
    mtu: !wanted.mtu || wanted.mtu === found.mtu ? undefined : wanted.mtu,
    txQueueLength: wanted.txQueueLength === found.txQueueLength ? undefined : wanted.txQueueLength,
  };
  stage.learn(place, found);
  if (Object.values(changes).every((change) => change === undefined)) return;
  const outcome = stage.places.connection(place).request(setLink(found.index, changes));
  if (outcome.errno !== 0) throw new KernelError(["change", `link "${found.name}"${placeText(place)}`], outcome);
}
