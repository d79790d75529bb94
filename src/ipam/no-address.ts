/** Why no address could be assigned, as data. */
import { CoreError } from "../errors/core-error.ts";
import type { Family } from "../net/address.ts";

export interface Holder {
  readonly handle: string;
  readonly pod?: { readonly namespace: string | undefined; readonly name: string };
}

export type Shortage =
  /** No pool has room. `pools`: their CIDRs. */
  | {
      readonly why: "pools exhausted";
      readonly family: Family;
      readonly assigned: number;
      readonly requested: number;
      readonly pools: readonly string[];
      readonly strictAffinity: boolean;
    }
  /** The node may own no further block. */
  | { readonly why: "block limit"; readonly family: Family; readonly limit: number }
  /** No pool matches. `passedOver`: the reason for each enabled pool; `faults`: pools that cannot be used. */
  | {
      readonly why: "no pool offered";
      readonly family: Family;
      readonly node: string;
      readonly passedOver: readonly string[];
      readonly faults: readonly CoreError[];
    }
  /** The pools do not allow workloads (`allowedUses`). */
  | {
      readonly why: "no pool for workloads";
      readonly pools: readonly { readonly name: string; readonly allowedUses: readonly string[] }[];
    }
  /** Another handle has the requested address. */
  | { readonly why: "taken"; readonly address: string; readonly block: string; readonly holder: Holder }
  /** It was released and is still in its cooldown. */
  | { readonly why: "cooldown"; readonly address: string; readonly cooldownSeconds: number }
  /** It belongs to the node. `reason` follows "it". */
  | { readonly why: "the node's"; readonly address: string; readonly reason: string }
  /** It is a gateway of the configuration, or the network or broadcast address of the pool that contains one. */
  | { readonly why: "the subnet's"; readonly address: string; readonly pool: string }
  /** Affinity is strict, and the block belongs to another node or none. `owner` as in the block: `host:node-1`. */
  | { readonly why: "not affine"; readonly block: string; readonly owner: string | undefined; readonly node: string };

export class NoAddressError extends CoreError {
  override readonly name = "NoAddressError";
  readonly kind = "no-address";
  readonly shortage: Shortage;

  constructor(shortage: Shortage) {
    super(textOf(shortage));
    this.shortage = shortage;
  }
}

/** Contains Calico's phrases, because people search for them. */
function textOf(shortage: Shortage): string {
  switch (shortage.why) {
    case "pools exhausted": {
      const { family, assigned, requested, pools, strictAffinity } = shortage;
      const strict = strictAffinity ? "No more free affine blocks and strict affinity enabled; " : "";
      return `failed to request IPv${family} addresses: Assigned ${assigned} out of ${requested} requested IPv${family} addresses; ${strict}No IPs available in pools: [${pools.join(" ")}]`;
    }
    case "block limit":
      return `cannot assign IPv${shortage.family} addresses: Need to allocate an IPAM block but could not - limit of ${shortage.limit} blocks reached for this node`;
    case "no pool offered": {
      const { family, node, passedOver, faults } = shortage;
      const reasons = passedOver.length === 0 ? "" : `: ${passedOver.join("; ")}`;
      const broken = faults.map(({ message }) => `; ${message}`).join("");
      return `cannot find an IPv${family} pool: no configured Calico pools for node ${node}${reasons}${broken}`;
    }
    case "no pool for workloads": {
      const uses = shortage.pools.map(({ name, allowedUses }) => `"${name}" allows ${allowedUses.join(", ")}`);
      return `cannot find a qualified ippool, no pools match the required use (Workload): ${uses.join("; ")}`;
    }
    case "not affine": {
      const { block, owner = "", node } = shortage;
      return `cannot assign an address of block ${block}: Block host affinity does not match; strict affinity is on, the block's owner is "${owner}" and this node is "${node}"`;
    }
    default:
      return `cannot assign address ${shortage.address}: ${reasonOf(shortage)}`;
  }
}

function reasonOf(shortage: Extract<Shortage, { readonly address: string }>): string {
  if (shortage.why === "the node's") return `it ${shortage.reason}`;
  if (shortage.why === "the subnet's") {
    return `it is a gateway of the configuration, or the network or broadcast address of its subnet ${shortage.pool}`;
  }
  if (shortage.why === "cooldown") {
    return `it was released less than ${shortage.cooldownSeconds} s ago (ipCooldownSeconds of IPAMConfig "default")`;
  }
  const { block, holder } = shortage;
  const who = holder.pod === undefined ? "" : ` (pod ${holder.pod.namespace}/${holder.pod.name})`;
  return `Address already assigned in block ${block}, to handle "${holder.handle}"${who}`;
}
