/**
 * The nftables back end: elements in the maps of `tables.ts`, in one transaction.
 *
 * Who has a host port is decided by the maps. Two mappings collide when protocol, port and family are equal and the host addresses are,
 * or when one of them has none (as Kubernetes judges it). Equal addresses collide in the kernel; a mapping of one address and
 * one of all addresses stand in different maps, so each ADD looks for the other kind *after* its own are in: of two that run at the
 * same time at least one sees the other.
 *
 * A container in several networks has several attachments, and a runtime (podman) may ask for the same ports in each: the first has them,
 * and the others do without.
 */
import { type Attachment, attachmentOf, ownerOf, ownerPrefixOf } from "../../src/cni/attachment.ts";
import { CniError, code } from "../../src/cni/error.ts";
import { type AppliedNft, applyNft } from "../../src/dataplane/nft-apply.ts";
import { NftConflict } from "../../src/dataplane/nft-conflict.ts";
import { diffNft } from "../../src/dataplane/nft-diff.ts";
import { hasNftTable } from "../../src/dataplane/nft-has.ts";
import { findHolders } from "../../src/dataplane/nft-holders.ts";
import { collectNft, removeNft } from "../../src/dataplane/nft-remove.ts";
import { probeNft } from "../../src/dataplane/nft-session.ts";
import type { Sys } from "../../src/host/sys.ts";
import { addressBytes } from "../../src/net/address.ts";
import { ownerPrefix } from "../../src/plan/names.ts";
import type { NftElements, NftFamily } from "../../src/plan/nft.ts";
import { nftOwnerComment, nftOwnerSet } from "../../src/plan/nft-owner.ts";
import { type Backend, describeAttachment, type Wanted } from "./backend.ts";
import { describeHostPort, type Mapping } from "./conf.ts";
import { keyOf, mappedPorts } from "./mapped.ts";
import { tableOf, tables } from "./tables.ts";
import type { Target } from "./target.ts";

export const nftables: Backend = {
  add(wanted, sys) {
    const applied = applyOverStale(wanted, sys);
    try {
      settleOverlaps(wanted, sys);
    } catch (error) {
      applied.undo();
      throw error;
    }
    return () => applied.undo();
  },

  check({ attachment, conf, targets }, sys) {
    const differences = (mappings: readonly Mapping[]): readonly string[] =>
      diffNft(mappedPorts({ ...conf, mappings }, targets), ownerOf(attachment), sys).map(({ text }) => text);
    const found = differences(conf.mappings);
    return found.length === 0 ? found : differences(withoutSiblings(attachment, conf.mappings, sys));
  },

  del(attachment, among, sys) {
    const theirs = tables.filter(({ family }) => among.includes(family));
    return udpPortsOf(removeNft(theirs, ownerOf(attachment), sys));
  },

  gc(network, valid, sys) {
    const prefix = ownerPrefixOf(network);
    const kept = new Set(valid.map((attachment) => nftOwnerSet(ownerOf(attachment))));
    const removed = collectNft(tables, ({ comment, setName }) => comment.startsWith(prefix) && !kept.has(setName), sys);
    return udpPortsOf(removed);
  },

  mayHold: (_, sys) => hasNftTable(tables, sys),

  status: probeNft,
};

/**
 * An address that a mapping leads to belongs to one attachment at a time: what still leads there for another is what a missed DEL left
 * behind, and goes; so do the mappings of one that has ended.
 */
function applyOverStale(wanted: Wanted, sys: Sys): AppliedNft {
  const { attachment, conf, targets, hasEnded } = wanted;
  const owner = ownerOf(attachment);
  let { mappings } = conf;
  // Each turn removes one attachment that cannot be alive, one more leaves out what the container's other attachments have.
  for (let turns = mappedPorts(conf, targets).length + 1; turns >= 0; turns--) {
    try {
      return applyNft(mappedPorts({ ...conf, mappings }, targets), owner, sys);
    } catch (error) {
      if (!(error instanceof NftConflict)) throw error;
      const holder = holderOf(error.holder);
      if (holder !== undefined && (leadsHere(error, targets) || hasEnded(holder)))
        removeNft(tables, ownerOf(holder), sys);
      else if (isSibling(error.holder, attachment)) mappings = withoutSiblings(attachment, mappings, sys);
      else throw taken(mappingOf(error.element.key), error.holder);
    }
  }
  throw new CniError(code.refused, "cannot map host ports: other attachments claim the container's address");
}

/** The attachment that a comment names in full. */
function holderOf(comment: string | undefined): Attachment | undefined {
  return comment === undefined || nftOwnerComment(comment) !== comment ? undefined : attachmentOf(comment);
}

/** Whether what is in the way leads to this very container's address. */
function leadsHere({ table, set, data }: NftConflict, targets: readonly Target[]): boolean {
  const target = targets.find(({ family }) => family === table.family);
  if (!set.endsWith("ports")) return !set.endsWith("conditions");
  const width = table.family === "ip" ? 4 : 16;
  return target !== undefined && data !== undefined && sameAddress(data.subarray(0, width), target);
}

/** Whether it is of the same container. */
function isSibling(holder: string | undefined, { containerId }: Attachment): boolean {
  return holder?.startsWith(ownerPrefix) === true && holder.split("/")[1] === containerId;
}

/** The mappings less what other attachments of the same container have. */
function withoutSiblings(attachment: Attachment, mappings: readonly Mapping[], sys: Sys): readonly Mapping[] {
  const own = nftOwnerComment(ownerOf(attachment));
  const isFree = (family: NftFamily, mapping: Mapping): boolean => {
    const set = mapping.hostIp === undefined ? "ports" : "hostip_ports";
    const [held] = findHolders(tableOf(family), set, [keyOf(mapping)], sys);
    return held === undefined || held.holder === own || !isSibling(held.holder, attachment);
  };
  return mappings
    .map((mapping) => ({ ...mapping, families: mapping.families.filter((family) => isFree(family, mapping)) }))
    .filter(({ families }) => families.length > 0);
}

function sameAddress(bytes: Uint8Array, { address }: Target): boolean {
  const wanted = addressBytes(address);
  return wanted.length === bytes.length && wanted.every((byte, index) => byte === bytes[index]);
}

/** Throws when another has one of the host ports in the other kind of map; what has ended goes. */
function settleOverlaps({ attachment, conf, targets, hasEnded }: Wanted, sys: Sys): void {
  const own = nftOwnerComment(ownerOf(attachment));
  const settle = (mapping: Pick<Mapping, "hostIp" | "hostPort" | "protocol">, comment: string | undefined) => {
    if (comment === own || isSibling(comment, attachment)) return;
    const holder = holderOf(comment);
    if (holder === undefined || !hasEnded(holder)) throw taken(mapping, comment);
    removeNft(tables, ownerOf(holder), sys);
  };
  for (const { family } of targets) {
    const mappings = conf.mappings.filter(({ families }) => families.includes(family));
    const general = mappings.filter(({ hostIp }) => hostIp === undefined);
    const special = mappings.filter(({ hostIp }) => hostIp !== undefined);
    const keys = special.map((mapping) => [mapping.protocol, String(mapping.hostPort)]);
    for (const { key, holder } of findHolders(tableOf(family), "ports", keys, sys)) {
      settle(special.find((one) => describeKey(one) === key.join("/")) ?? mappingOf(key), holder);
    }
    if (general.length === 0) continue;
    // Mappings of single addresses are rare: all of them are looked at.
    for (const { key, holder } of findHolders(tableOf(family), "hostip_ports", undefined, sys)) {
      const mapping = general.find((one) => describeKey(one) === key.slice(1).join("/"));
      if (mapping !== undefined) settle(mapping, holder);
    }
  }
}

function describeKey({ protocol, hostPort }: Mapping): string {
  return `${protocol}/${hostPort}`;
}

function mappingOf(key: NftElements["elements"][number]["key"]): Pick<Mapping, "hostIp" | "hostPort" | "protocol"> {
  const [port = "", protocol = "", hostIp] = [...key].reverse();
  return { hostIp, hostPort: Number(port), protocol: protocol as Mapping["protocol"] };
}

function taken(mapping: Pick<Mapping, "hostIp" | "hostPort" | "protocol">, holder: string | undefined): CniError {
  return new CniError(
    code.refused,
    `cannot map host port ${describeHostPort(mapping)}: it is taken by ${describe(holder)}`,
  );
}

function describe(comment: string | undefined): string {
  if (comment === undefined) return "an element without an owner in nftables";
  const holder = attachmentOf(comment);
  return holder === undefined ? `"${comment}"` : describeAttachment(holder);
}

function udpPortsOf(removed: readonly { readonly element: { readonly key: readonly string[] } }[]): readonly number[] {
  return removed
    .map(({ element }) => mappingOf(element.key))
    .flatMap(({ protocol, hostPort }) => (protocol === "udp" ? [hostPort] : []));
}
