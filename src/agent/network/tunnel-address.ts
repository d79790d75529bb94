/**
 * The address of a node's tunnel device, assigned from a pool like a pod's:
 *
 *     the Node names one ──► in a pool that fits, and held or free? ──yes──► kept
 *                                    │ no
 *                                    └──► one that the handle holds, or a new one ──► written to the Node
 *
 * **An address that the Node names already is kept**, unless another handle holds it or its pool is gone: other nodes send packets there. The handle and
 * the attributes are Calico's, so that a node can change between its agent and this one.
 */

import { type Encapsulation, type NetworkPool, networkPoolOf } from "../../cluster-network/network-pool.ts";
import { type AssignArgs, autoAssign } from "../../ipam/assign/assign.ts";
import { assignAddresses } from "../../ipam/assign/explicit.ts";
import { selects } from "../../ipam/assign/pool-selection.ts";
import { addressesOf, readHandleContents } from "../../ipam/model/handle-contents.ts";
import { readScope } from "../../ipam/model/labels.ts";
import { NoAddressError } from "../../ipam/no-address.ts";
import { releaseByHandle } from "../../ipam/release/release.ts";
import { canonicalAddress, type Family } from "../../net/address.ts";
import { addressOf, contains } from "../../net/prefix.ts";
import { list, type Transaction } from "../../store/transaction.ts";
import { namedTunnel, type TunnelField, writeTunnel } from "./tunnel-node.ts";

/** A kind of tunnel device. Names and types are Calico's. */
export interface TunnelKind {
  readonly encapsulation: Exclude<Encapsulation, "none">;
  readonly family: Family;
  /** The handle without the node's name. */
  readonly handle: string;
  readonly type: string;
  readonly field: TunnelField;
}

export const tunnelKinds: readonly TunnelKind[] = [
  { encapsulation: "vxlan", family: 4, handle: "vxlan-tunnel-addr", type: "vxlanTunnelAddress", field: "vxlan4" },
  { encapsulation: "vxlan", family: 6, handle: "vxlan-v6-tunnel-addr", type: "vxlanV6TunnelAddress", field: "vxlan6" },
  { encapsulation: "ipip", family: 4, handle: "ipip-tunnel-addr", type: "ipipTunnelAddress", field: "ipip" },
];

export interface TunnelOrder {
  readonly node: string;
  /** Nanoseconds since the epoch. */
  readonly now: bigint;
}

/**
 * The address, which the Node names afterwards; `undefined`, and nothing held or named, if no pool has this encapsulation. Throws `NoAddressError` if no
 * pool has an address for it.
 */
export function* ensureTunnelAddress(kind: TunnelKind, { node, now }: TunnelOrder): Transaction<string | undefined> {
  const fitting = (yield* list("IPPool"))
    .flatMap((object) => networkPoolOf(object) ?? [])
    .filter((pool) => pool.family === kind.family && pool.encapsulation === kind.encapsulation);
  const isFitting = (address: string) => fitting.some(({ cidr }) => contains(cidr, address));
  const handleId = `${kind.handle}-${node}`;
  yield* releaseByHandle(handleId, ({ address }) => !isFitting(address), now);
  if (fitting.length === 0) {
    yield* writeTunnel(node, kind.field, undefined);
    return undefined;
  }
  const own = { handleId, node, attributes: { node, type: kind.type }, now };
  const named = canonicalAddress(addressOf((yield* namedTunnel(node, kind.field)) ?? ""));
  const kept = named !== undefined && isFitting(named) && (yield* hold(own, named, fitting));
  const address = kept ? named : yield* assignOne(own, kind.family, yield* eligible(fitting, node));
  yield* releaseByHandle(handleId, (other) => other.address !== address, now);
  yield* writeTunnel(node, kind.field, address);
  return address;
}

type Own = Omit<AssignArgs, "pools">;

/** Whether the handle holds the address, or could take it. */
function* hold(own: Own, address: string, pools: readonly NetworkPool[]): Transaction<boolean> {
  try {
    yield* assignAddresses({ ...own, pools: unrestricted(pools), addresses: [address] });
    return true;
  } catch (error) {
    if (!(error instanceof NoAddressError)) throw error;
    return false;
  }
}

function* assignOne(own: Own, family: Family, pools: readonly NetworkPool[]): Transaction<string | undefined> {
  const held = addressesOf(yield* readHandleContents(own.handleId));
  if (held[0] !== undefined) return held[0].address;
  const [assigned] = yield* autoAssign({
    ...own,
    pools: unrestricted(pools),
    wanted: [{ family, pools: [], count: 1 }],
  });
  return assigned?.address;
}

/** Those that assign new addresses for tunnels of the node. */
function* eligible(pools: readonly NetworkPool[], node: string): Transaction<readonly NetworkPool[]> {
  const scope = yield* readScope(pools, node, undefined);
  return pools.filter(
    ({ disabled, allowedUses, ...pool }) =>
      !disabled &&
      (allowedUses.length === 0 || allowedUses.includes("Tunnel")) &&
      selects({ ...pool, disabled, allowedUses, namespaceSelector: "" }, scope),
  );
}

/** What a pool says about workloads does not concern a tunnel. */
function unrestricted(pools: readonly NetworkPool[]): AssignArgs["pools"] {
  const free = { disabled: false, automatic: true, allowedUses: [], nodeSelector: "", namespaceSelector: "" };
  return { pools: pools.map((pool) => ({ ...pool, ...free })), faults: [] };
}
