/** What is removed by name and owner (DEL), and what has an owner (GC). "Not there" is success. */
import { runEvery } from "../errors/run-every.ts";
import { deleteLink, dumpLinks, type Link, readLink } from "../netlink/link.ts";
import type { RemovedChain } from "../plan/iptables.ts";
import type { NftTable, RemovedElement } from "../plan/nft.ts";
import type { LinkKind, LinkUp, Place, Rule } from "../plan/resource.ts";
import { hasErrno, KernelError } from "./errors.ts";
import { type PortsRemoval, removePorts } from "./iptables/ports.ts";
import { findLink } from "./kernel-state.ts";
import { removeRules } from "./kinds/rule.ts";
import { setLinkDown } from "./kinds/up.ts";
import { findVethEnds } from "./links/peer.ts";
import { isUnclaimed, type LinkSignature } from "./links/signature.ts";
import { type Namespaces, placeText } from "./namespaces.ts";
import { removeNft } from "./nftables/remove.ts";

/** A link by its name, and with it its other end and all that is on it. */
interface LinkRemoval {
  readonly kind: "link";
  readonly at: Place;
  readonly name: string;
  /** Where the name is the owner's alone: a link without an alias that has this signature is the owner's too, whose ADD was killed. */
  readonly signature?: LinkSignature;
}

/** The sandbox's rules of this number that lead to the table. */
interface RuleRemoval extends Pick<Rule, "kind" | "table" | "priority"> {
  /** The link that the table leads by. If it is there, and its other end is none of these, the sandbox is another's and keeps its rules. */
  readonly link: string;
  readonly hostEnds: readonly string[];
}

/** An owner's elements of nf_tables; with them tables that serve nobody then. */
interface ElementRemoval {
  readonly kind: "nft-elements";
  readonly tables: readonly NftTable[];
}

/** What of an owner's is to go. */
export type Removal = LinkRemoval | Pick<LinkUp, "kind" | "at" | "link"> | RuleRemoval | ElementRemoval | PortsRemoval;

/** What is gone, as it was. */
export type Removed = RemovedElement | RemovedChain;

/** Does every one, and throws what failed. Returns the elements and chains that are gone, as they were. */
export function removeAll(owner: string, removals: readonly Removal[], namespaces: Namespaces): readonly Removed[] {
  const removed: Removed[] = [];
  runEvery(removals.map((removal) => () => void removed.push(...removeOne(owner, removal, namespaces))));
  return removed;
}

function removeOne(owner: string, removal: Removal, namespaces: Namespaces): readonly Removed[] {
  switch (removal.kind) {
    case "link":
      removeLink(owner, removal, namespaces);
      return [];
    case "up":
      setLinkDown(namespaces, removal, owner);
      return [];
    case "rule":
      removeRules(namespaces, removal, () => {
        const ends = findVethEnds(namespaces, removal.link);
        return ends === undefined || removal.hostEnds.includes(ends.host?.name ?? "");
      });
      return [];
    case "nft-elements":
      return removeNft(removal.tables, owner, namespaces.sys);
    case "iptables-ports":
      return removePorts(removal, namespaces.sys);
  }
}

/** A link that is absent, or another's, is left and is no error. */
function removeLink(owner: string, { at, name, signature }: LinkRemoval, namespaces: Namespaces): void {
  const connection = namespaces.connection(at);
  const found = findLink(connection, name);
  if (found === undefined) return;
  if (found.alias !== owner && !(signature !== undefined && isUnclaimed(found, signature))) return;
  // By index: between the two messages the name may come to be another's.
  const outcome = connection.request(deleteLink(found.index));
  if (outcome.errno === 0 || hasErrno(outcome, "ENODEV")) return;
  throw new KernelError(["delete", `link "${name}"${placeText(at)}`], outcome);
}

export interface OwnedLink {
  readonly name: string;
  readonly owner: string;
}

/** The host's links of a kind whose alias begins with `ownerPrefix`. */
export function listLinks(kind: LinkKind, ownerPrefix: string, namespaces: Namespaces): readonly OwnedLink[] {
  return hostLinks(namespaces).flatMap(({ name, alias, kind: found }) =>
    found === kind && alias?.startsWith(ownerPrefix) ? [{ name, owner: alias }] : [],
  );
}

/** Longer than a maker of links needs, however busy the machine is, between making one and claiming it. */
const claimMs = 1000;

/**
 * Deletes the host's links whose makers were killed before they could claim them: they bear a name of ours, were born as ours are, and are
 * down, as only such a link is. For names that no record tells. Each is looked at twice: its maker may be alive.
 */
export function removeUnclaimed(
  isOurName: (name: string) => boolean,
  signature: LinkSignature,
  namespaces: Namespaces,
): void {
  const find = () =>
    hostLinks(namespaces).filter((link) => isOurName(link.name) && !link.up && isUnclaimed(link, signature));
  const suspects = new Set(find().map(({ index }) => index));
  if (suspects.size === 0) return;
  namespaces.sys.sleepMs(claimMs);
  for (const { index, name } of find()) {
    if (!suspects.has(index)) continue;
    const outcome = namespaces.connection("host").request(deleteLink(index));
    if (outcome.errno !== 0 && !hasErrno(outcome, "ENODEV"))
      throw new KernelError(["delete", `link "${name}" on the host`], outcome);
  }
}

function hostLinks(namespaces: Namespaces): readonly Link[] {
  return namespaces.connection("host").dump(dumpLinks(), ["list", "links"]).map(readLink);
}
