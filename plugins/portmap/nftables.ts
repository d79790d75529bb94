/**
 * The nftables back end: elements in the maps of `tables.ts`, in one transaction.
 *
 * The maps decide who has a host port. As in Kubernetes, two mappings collide if protocol, port and family are equal and the host addresses
 * are equal or one of them is unset. The kernel refuses equal keys. A mapping of one address and one of all addresses are in different maps,
 * so each ADD looks for the other kind *after* it has added its own: of two concurrent ADDs at least one sees the other.
 *
 * A container in several networks has several attachments, and podman asks for the same ports in each. The first attachment gets them and the
 * others wait. The DEL that releases a port moves a waiting element into its place, in the same transaction.
 */

import { CniError, code } from "../../src/cni/error.ts";
import { NftConflict } from "../../src/dataplane/errors.ts";
import { Executor } from "../../src/dataplane/executor.ts";
import { NodeFacts } from "../../src/dataplane/node-facts.ts";
import type { Sys } from "../../src/host/sys.ts";
import { type Attachment, attachmentOf, ownerOf } from "../../src/identity/attachment.ts";
import { ownerPrefix } from "../../src/identity/names.ts";
import { canonicalAddress, formatAddress, type TableFamily, tableFamilies } from "../../src/net/address.ts";
import type { FoundElement } from "../../src/plan/nft.ts";
import { nftOwnerComment } from "../../src/plan/nft-owner.ts";
import type { Resource } from "../../src/plan/resource.ts";
import { notReadyForTables } from "../../src/plugin/not-ready.ts";
import { type Backend, describeAttachment, type FormerPort, type PortRequest } from "./backend.ts";
import { describeHostPort, type Mapping } from "./conf.ts";
import { formerPorts } from "./former-ports.ts";
import { keyOf, mappedPorts, mappingOf, type Waits } from "./mapped.ts";
import { maxTargetLength, tableModules, tableNames, tableOf, tables } from "./tables.ts";
import type { Target } from "./target.ts";

export const nftables: Backend = {
  plan: ({ conf, targets }) => mappedPorts(conf, targets),

  add(wanted, more, sys) {
    const { applied, former } = applyOverStale(wanted, more, sys);
    try {
      const overlapping = settleOverlaps(wanted, "other kind", sys);
      return { former: [...former, ...overlapping], takeBack: () => applied.undo() };
    } catch (error) {
      applied.undo();
      throw error;
    }
  },

  settle: (wanted, sys) => settleOverlaps(wanted, "both kinds", sys),

  check({ attachment, conf, targets }, sys) {
    const owner = ownerOf(attachment);
    const differences = (resources: readonly Resource[]) => new Executor(sys).diff({ owner, resources });
    const found = differences(nftables.plan({ attachment, conf, targets }));
    return found.length === 0 ? found : differences(mappedPorts(conf, targets, behindSiblings(attachment, sys)));
  },

  del(attachment, among, sys) {
    return removeElements(ownerOf(attachment), sys, among);
  },

  mayHold: (_, sys) => new NodeFacts(sys).hasNft(tableNames).includes(true),

  status(_, context) {
    notReadyForTables(context, [...tables, maxTargetLength], tableModules);
  },
};

/**
 * An address belongs to one attachment at a time. Another attachment's mapping to the same address is a leftover of a missed DEL, so it is
 * removed, as are the mappings of attachments that have ended.
 */
function applyOverStale(
  wanted: PortRequest,
  more: readonly Resource[],
  sys: Sys,
): {
  readonly applied: ReturnType<Executor["apply"]>;
  readonly former: readonly FormerPort[];
} {
  const { attachment, conf, targets, hasEnded } = wanted;
  const owner = ownerOf(attachment);
  let waits: Waits | undefined;
  const former: FormerPort[] = [];
  // Each round removes one ended attachment (whose siblings may have waited), or finds ports of the container's other attachments.
  for (let attempts = 2 * mappedPorts(conf, targets).length + 1; attempts >= 0; attempts--) {
    try {
      const resources = [...mappedPorts(conf, targets, waits), ...more];
      const applied = new Executor(sys).apply({ owner, resources });
      return { applied, former };
    } catch (error) {
      if (!(error instanceof NftConflict)) throw error;
      const holder = holderOf(error.holder);
      if (holder !== undefined && (leadsHere(error, targets) || hasEnded(holder, destinationIn(error))))
        former.push(...removeElements(ownerOf(holder), sys));
      else if (isSibling(error.holder, attachment)) waits = behindSiblings(attachment, sys);
      else throw taken(mappingOf(error.element.key), error.holder);
    }
  }
  throw new CniError(code.refused, "cannot map host ports: other attachments claim the container's address");
}

/** The elements of a set, with these keys or all, and their owners. */
export function elementsIn(
  family: TableFamily,
  set: string,
  sys: Sys,
  keys?: readonly (readonly string[])[],
): readonly FoundElement[] {
  const what = { kind: "nft-elements", table: tableOf(family), set, ...(keys && { keys }) } as const;
  return new Executor(sys).list(what);
}

/** The attachment that a comment names in full. */
export function holderOf(comment: string | undefined): Attachment | undefined {
  return comment === undefined || nftOwnerComment(comment) !== comment ? undefined : attachmentOf(comment);
}

/** Whether the conflicting element leads to this container's address. */
function leadsHere(conflict: NftConflict, targets: readonly Target[]): boolean {
  const { table, set } = conflict;
  if (!set.endsWith("ports")) return !set.endsWith("conditions");
  const target = targets.find(({ family }) => family === table.family);
  return target !== undefined && destinationIn(conflict) === canonicalAddress(target.address);
}

function destinationIn({ table, set, data }: NftConflict): string | undefined {
  return set.endsWith("ports") ? destinationOf(table.family, data) : undefined;
}

/** The container's address in a map's data for a host port. */
function destinationOf(family: TableFamily, data: Uint8Array | undefined): string | undefined {
  return data && formatAddress(data.subarray(0, family === "ip" ? 4 : 16));
}

/** Whether the holder is another attachment of the same container. */
function isSibling(holder: string | undefined, { containerId }: Attachment): boolean {
  return holder?.startsWith(ownerPrefix) === true && holder.split("/")[1] === containerId;
}

/** Whether another attachment of the same container has the port. */
function behindSiblings(attachment: Attachment, sys: Sys): Waits {
  const own = nftOwnerComment(ownerOf(attachment));
  return (family, mapping) => {
    const set = mapping.hostIp === undefined ? "ports" : "hostip_ports";
    const [held] = elementsIn(family, set, sys, [keyOf(mapping)]);
    return held !== undefined && held.holder !== own && isSibling(held.holder, attachment);
  };
}

/** Removes overlapping mappings of ended attachments. Throws `CniError` 7 naming a live holder of a host port. */
function settleOverlaps(
  { attachment, conf, targets, hasEnded }: PortRequest,
  where: "other kind" | "both kinds",
  sys: Sys,
): readonly FormerPort[] {
  const former: FormerPort[] = [];
  const own = nftOwnerComment(ownerOf(attachment));
  const settle = (mapping: Mapping, held: FoundElement, family: TableFamily) => {
    if (held.holder === own || isSibling(held.holder, attachment)) return;
    const holder = holderOf(held.holder);
    if (holder === undefined || !hasEnded(holder, destinationOf(family, held.data))) throw taken(mapping, held.holder);
    former.push(...removeElements(ownerOf(holder), sys));
  };
  const isBoth = where === "both kinds";
  for (const { family } of targets) {
    const mappings = conf.mappings.filter(({ families }) => families.includes(family));
    const inPorts = mappings.filter(({ hostIp }) => isBoth || hostIp !== undefined);
    for (const mapping of inPorts) {
      const key = [mapping.protocol, String(mapping.hostPort)];
      for (const held of elementsIn(family, "ports", sys, [key])) settle(mapping, held, family);
    }
    if (inPorts.length === mappings.length && !isBoth) continue;
    // Mappings of single addresses are rare, so all of them are compared.
    for (const held of elementsIn(family, "hostip_ports", sys)) {
      const { hostIp, ...port } = mappingOf(held.key);
      const mapping = mappings.find(
        (one) =>
          describeKey(one) === describeKey(port) && (one.hostIp === undefined || (isBoth && one.hostIp === hostIp)),
      );
      if (mapping !== undefined) settle(mapping, held, family);
    }
  }
  return former;
}

function describeKey({ protocol, hostPort }: Pick<Mapping, "protocol" | "hostPort">): string {
  return `${protocol}/${hostPort}`;
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

/** Removes an owner's elements in these families, and returns its host ports. */
function removeElements(owner: string, sys: Sys, among = tableFamilies): readonly FormerPort[] {
  const theirs = tables.filter(({ family }) => among.includes(family));
  return formerPorts(new Executor(sys).remove(owner, [{ kind: "nft-elements", tables: theirs }]));
}
