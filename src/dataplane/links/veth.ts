/** A veth pair: one end on the host, which carries the owner's alias, the other one in the sandbox. */
import type { Link } from "../../netlink/link.ts";
import type { LinkEnd, Place, VethPair } from "../../plan/resource.ts";
import type { ApplyRun } from "../apply-run.ts";
import { ConflictError } from "../errors.ts";
import { findLink } from "../kernel-state.ts";
import { differenceSuffix } from "../namespaces.ts";
import { mayDelete, nameConflict, updateLink } from "./adoption.ts";
import type { Adoption, LinkDriver } from "./driver.ts";
import { isUnclaimed, type LinkSignature } from "./signature.ts";

const dismantlingMs = 200;
const dismantlingPauseMs = 10;

export const vethDriver: LinkDriver<VethPair> = {
  how: "link",
  module: "veth",
  describe,
  ends: ({ host, sandbox }) => [
    { place: "host", name: host.name, mac: host.mac, readBack: true },
    { place: "sandbox", name: sandbox.name, mac: sandbox.mac, readBack: true },
  ],
  create: ({ host, sandbox, mtu, queues }, run) => ({
    end: host,
    peer: sandbox,
    peerNetnsFd: run.namespaces.sandboxFd(),
    mtu,
    queues,
  }),
  signature,
  adopt,
  learnEnds: learnPeer,
  diff(pair, namespaces, owner) {
    const host = namespaces.state("host").link(pair.host.name);
    const sandbox = namespaces.state("sandbox").link(pair.sandbox.name);
    const texts = [...diffEnd("host", pair.host, host, pair), ...diffEnd("sandbox", pair.sandbox, sandbox, pair)];
    if (host === undefined || sandbox === undefined) return texts;
    const { name } = pair.host;
    if (!arePair(host, sandbox)) texts.push(`link ${name} is not the other end of ${pair.sandbox.name}`);
    if (host.alias !== owner) texts.push(`link ${name} has alias "${host.alias ?? ""}", wanted "${owner}"`);
    return texts;
  },
};

/** Whether two links, each in its own namespace, are the ends of one pair. */
export function arePair(one: Link, other: Link): boolean {
  return one.kind === "veth" && other.kind === "veth" && one.peerIndex === other.index && other.peerIndex === one.index;
}

function describe({ host, sandbox }: VethPair): string {
  return `veth "${host.name}" on the host with "${sandbox.name}" in the sandbox`;
}

function signature({ host }: VethPair): LinkSignature {
  return { kind: "veth", mac: host.mac };
}

function adopt(pair: VethPair, run: ApplyRun): Adoption {
  const { host, sandbox } = pair;
  const ours = run.link("host", host.name);
  const inside = findLink(run.namespaces.connection("sandbox"), sandbox.name);
  if (ours !== undefined && inside !== undefined && ours.alias === run.plan.owner && arePair(ours, inside)) {
    updateLink(run, "host", ours, { mac: host.mac, mtu: pair.mtu });
    updateLink(run, "sandbox", inside, { mac: sandbox.mac, mtu: pair.mtu });
    return "adopted";
  }
  const unclaimed = ours !== undefined && isUnclaimed(ours, signature(pair));
  if (inside !== undefined && unclaimed && arePair(ours, inside)) return { old: ours };
  if (inside !== undefined) {
    const reason = `a link of the name "${sandbox.name}" exists, and Tortie does not own it`;
    throw new ConflictError(["create", describe(pair)], reason, inside.alias);
  }
  if (ours === undefined || unclaimed || mayDelete(ours, run)) return { old: ours };
  const later = awaitDismantling(run, ours);
  if (later === undefined || peerIsGone(later)) return { old: later };
  throw nameConflict(describe(pair), later);
}

/**
 * A sandbox that has just ended keeps its links for some milliseconds, and in the first of them the kernel still reports the peer's
 * namespace as if it were alive (seen in Linux 6.18). So a conflicting link gets a moment to vanish.
 */
function awaitDismantling({ namespaces }: ApplyRun, obstacle: Link): Link | undefined {
  const { sys } = namespaces;
  const deadline = sys.monotonicMs() + dismantlingMs;
  let found: Link | undefined = obstacle;
  while (found !== undefined && !peerIsGone(found) && sys.monotonicMs() < deadline) {
    sys.sleepMs(dismantlingPauseMs);
    found = findLink(namespaces.connection("host"), obstacle.index);
  }
  return found;
}

/** The peer, or its namespace, is being dismantled (NETNSA_NSID_NOT_ASSIGNED). */
function peerIsGone({ kind, peerIndex, peerNetnsId }: Link): boolean {
  return kind === "veth" && (peerNetnsId === -1 || !peerIndex);
}

/** The properties of the peer that are known without a request: a new pair has one MTU and the MAC addresses of the plan. */
function learnPeer({ host, sandbox: { name, mac }, queues = 1 }: VethPair, run: ApplyRun): void {
  const end = run.link("host", host.name);
  if (end?.peerIndex === undefined || !run.created.has(`host:${host.name}`)) return;
  if (mac === undefined) {
    run.learnIndex("sandbox", name, end.peerIndex);
    return;
  }
  run.learn("sandbox", {
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
    group: 0,
  });
}

function diffEnd(place: Place, end: LinkEnd, found: Link | undefined, pair: VethPair): string[] {
  const suffix = differenceSuffix(place);
  if (found === undefined) return [`link ${end.name} is missing${suffix}`];
  const texts: string[] = [];
  const compare = (what: string, has: string | number | undefined, wanted: string | number | undefined) => {
    if (wanted && has !== wanted) texts.push(`link ${end.name} has ${what} ${has}, wanted ${wanted}${suffix}`);
  };
  compare("mac", found.mac, end.mac);
  compare("mtu", found.mtu, pair.mtu);
  compare("numtxqueues", found.txQueues, pair.queues);
  compare("numrxqueues", found.rxQueues, pair.queues);
  return texts;
}
