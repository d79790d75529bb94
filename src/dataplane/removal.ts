/** Removes objects by name and owner (DEL, GC). A missing object is success. */
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

/** A link by its name; its peer and everything that depends on them are removed with it. */
interface LinkRemoval {
  readonly kind: "link";
  readonly at: Place;
  readonly name: string;
  /** For names unique to the owner: a link without an alias but with this signature is a leftover of the owner's killed ADD. */
  readonly signature?: LinkSignature;
}

/** The sandbox's rules with this priority and table. */
interface RuleRemoval extends Pick<Rule, "kind" | "table" | "priority"> {
  /** The link of the table's routes. If it exists and its peer is none of these, the sandbox is another attachment's and keeps its rules. */
  readonly link: string;
  readonly hostEnds: readonly string[];
}

/** An owner's nf_tables elements; tables that are then unused are removed too. */
interface ElementRemoval {
  readonly kind: "nft-elements";
  readonly tables: readonly NftTable[];
}

/** An object to remove. */
export type Removal = LinkRemoval | Pick<LinkUp, "kind" | "at" | "link"> | RuleRemoval | ElementRemoval | PortsRemoval;

/** A removed object. */
export type Removed = RemovedElement | RemovedChain;

/** Tries every removal and throws all failures. Returns the removed elements and chains. */
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

/** A missing link is success; a link of another owner is left alone. */
function removeLink(owner: string, { at, name, signature }: LinkRemoval, namespaces: Namespaces): void {
  const connection = namespaces.connection(at);
  const found = findLink(connection, name);
  if (found === undefined) return;
  if (found.alias !== owner && !(signature !== undefined && isUnclaimed(found, signature))) return;
  // By index, because the name may be reused between the two messages.
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

/** More than the time between creating a link and writing its alias, even on a busy machine. */
const claimMs = 1000;

/**
 * Deletes links on the host whose ADD was killed before it wrote the alias: they have a name of ours, our signature, and are down. For links
 * without a record. Checks each link twice, because its ADD may still be running.
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
