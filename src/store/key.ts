/**
 * How an object is asked for: by what it is about, never by a text that somebody would have to take apart. Each store makes of it what it
 * addresses by.
 *
 *     {kind: "BlockAffinity", node: "n1", cidr: "10.0.0.0/26"}
 *         file    /run/tortie/ipam/affinities/n1-10-0-0-0-26.json
 *         etcd    /calico/ipam/v2/host/n1/ipv4/block/10.0.0.0-26
 *         CRD     blockaffinities/n1-10-0-0-0-26
 */
import type { Kind, StoredObject } from "./object.ts";

export interface BlockKey {
  readonly kind: "IPAMBlock";
  readonly cidr: string;
}

export interface AffinityKey {
  readonly kind: "BlockAffinity";
  readonly node: string;
  readonly cidr: string;
}

export interface HandleKey {
  readonly kind: "IPAMHandle";
  readonly handleId: string;
}

/**
 * By `metadata.name`: settings, which have no other key, and what a person names. A store that does not address a kind by names finds it in
 * a listing.
 */
export interface NamedKey {
  readonly kind: Kind;
  readonly name: string;
}

export type Key = BlockKey | AffinityKey | HandleKey | NamedKey;

/** The key of an object; by its name, where its spec is not what its kind's is. */
export function keyOf({ kind, metadata, spec }: StoredObject): Key {
  const { cidr, node, handleID } = spec as {
    readonly cidr?: unknown;
    readonly node?: unknown;
    readonly handleID?: unknown;
  };
  if (kind === "IPAMBlock" && typeof cidr === "string") return { kind, cidr };
  if (kind === "BlockAffinity" && typeof cidr === "string" && typeof node === "string") return { kind, node, cidr };
  if (kind === "IPAMHandle" && typeof handleID === "string") return { kind, handleId: handleID };
  return { kind, name: metadata.name };
}
