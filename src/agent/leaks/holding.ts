/** What blocks record about assigned addresses. */
import type { Attachment } from "../../identity/attachment.ts";
import type { Pod } from "../../identity/pod.ts";
import { attributeAt, type Block, isCooldown } from "../../ipam/model/block.ts";
import { ownerOfHandle } from "../../ipam/model/handle.ts";
import { blockAddress } from "../../ipam/model/ordinal.ts";
import { sequenceNumberOf } from "../../ipam/model/sequence-numbers.ts";

/** One assigned address. */
export interface Held {
  readonly address: string;
  /** The CIDR of its block. */
  readonly block: string;
  readonly handleId: string;
  readonly sequenceNumber: bigint;
  /** Calico's attributes and ours (`src/ipam/model/attributes.ts`). */
  readonly attributes: Readonly<Record<string, string>>;
  /** The node that holds it; without an attribute, the owner of the block. */
  readonly node: string | undefined;
}

/** All addresses of a handle, which are released together. */
export interface Holding {
  readonly handleId: string;
  readonly addresses: readonly Held[];
}

const hostPrefix = "host:";

/** The node that owns a block. */
export function ownerOfBlock({ spec: { affinity } }: Block): string | undefined {
  return typeof affinity === "string" && affinity.startsWith(hostPrefix)
    ? affinity.slice(hostPrefix.length)
    : undefined;
}

/** Leaves out addresses in their cooldown. Throws `DamagedError` if an attribute cannot be read. */
export function heldIn(block: Block): readonly Held[] {
  const { spec } = block;
  const owner = ownerOfBlock(block);
  return spec.allocations.flatMap((index, ordinal) => {
    const attribute = index === null ? undefined : attributeAt(spec, ordinal);
    if (attribute === undefined || isCooldown(attribute)) return [];
    const { handle_id: handleId, secondary } = attribute;
    const attributes = secondary ?? {};
    return [
      {
        address: blockAddress(spec, ordinal),
        block: spec.cidr,
        handleId: handleId ?? "",
        sequenceNumber: sequenceNumberOf(spec, ordinal),
        attributes,
        node: attributes.node ?? owner,
      },
    ];
  });
}

/** By handle. Addresses without one are left out: nothing tells whose they are. */
export function holdingsOf(held: Iterable<Held>): readonly Holding[] {
  const holdings = new Map<string, Held[]>();
  for (const one of held) {
    if (one.handleId === "") continue;
    const known = holdings.get(one.handleId);
    if (known === undefined) holdings.set(one.handleId, [one]);
    else known.push(one);
  }
  return [...holdings].map(([handleId, addresses]) => ({ handleId, addresses }));
}

/** The same text as long as the same assignments are meant. */
export function signatureOf({ addresses }: Holding): string {
  return addresses
    .map(({ address, sequenceNumber }) => `${address}=${sequenceNumber}`)
    .sort()
    .join();
}

export interface Owner {
  /** Whether the address belongs to the node itself, for instance to its tunnel. */
  readonly isNode: boolean;
  /** Whether our plugins asked for it: Calico's record no interface. */
  readonly isOurs: boolean;
  readonly attachment: Attachment | undefined;
  readonly pod: Pod | undefined;
}

export function ownerOf({ handleId, addresses }: Holding): Owner {
  const { type, interface: ifname, namespace, pod: name } = addresses[0]?.attributes ?? {};
  return {
    isNode: type !== undefined,
    isOurs: ifname !== undefined,
    attachment: ownerOfHandle(handleId),
    pod: namespace === undefined || name === undefined ? undefined : { namespace, name },
  };
}
