/** Calico's Node: what the datastore knows of this node. In etcd the agent creates it, in Kubernetes the kubelet does. */
import { CoreError } from "../../errors/core-error.ts";
import { addressOf } from "../../net/prefix.ts";
import type { StoredObject } from "../../store/object.ts";
import { TooManyConflicts } from "../../store/too-many-conflicts.ts";
import { create, list, maxTries, pause, read, type Transaction, update } from "../../store/transaction.ts";
import { type NodeAddresses, recordedAddresses } from "./node-address.ts";

/** Two nodes with one address: packets would reach only one of them. */
class AddressConflict extends CoreError {
  override readonly name = "AddressConflict";
  readonly kind = "conflict";

  constructor(address: string, other: string) {
    super(
      `cannot use address ${address}: it is recorded for node "${other}"; ` +
        `choose another way to find it, delete the Node that is gone, or set DISABLE_NODE_IP_CHECK=true`,
    );
  }
}

/** Records the addresses and the AS number in the Node; leaves unchanged what it is not given. Returns whether it wrote. */
export function* recordNode(
  name: string,
  addresses: NodeAddresses,
  asNumber: number | undefined,
): Transaction<boolean> {
  for (let tries = 0; tries < maxTries; tries++) {
    yield* pause(tries);
    const node = yield* read({ kind: "Node", name });
    if (node === undefined) {
      if ((yield* create(newNode(name, addresses, asNumber))) !== undefined) return true;
      continue;
    }
    const changed = withBgp(node, addresses, asNumber);
    if (changed === undefined) return false;
    if ((yield* update(changed)) !== undefined) return true;
  }
  throw new TooManyConflicts(`record node "${name}"`);
}

/** Records the node if it is not recorded, and leaves it alone otherwise. */
export function* keepNode(name: string, addresses: NodeAddresses): Transaction<void> {
  if ((yield* read({ kind: "Node", name })) === undefined) yield* create(newNode(name, addresses));
}

/** Throws `AddressConflict` if another Node has one of the addresses. */
export function* checkAddresses(name: string, addresses: NodeAddresses): Transaction<void> {
  const own = Object.values(addresses).map(addressOf);
  for (const node of yield* list("Node")) {
    if (node.metadata.name === name) continue;
    const shared = Object.values(recordedAddresses(node))
      .map(addressOf)
      .find((address) => own.includes(address));
    if (shared !== undefined) throw new AddressConflict(shared, node.metadata.name);
  }
}

function newNode(name: string, addresses: NodeAddresses, asNumber?: number): StoredObject {
  const bgp = bgpOf(addresses, asNumber);
  const spec = Object.keys(bgp).length === 0 ? {} : { bgp };
  return { apiVersion: "projectcalico.org/v3", kind: "Node", metadata: { name }, spec, status: {} };
}

/** `undefined`: the Node has all of it. */
function withBgp(node: StoredObject, addresses: NodeAddresses, asNumber: number | undefined): StoredObject | undefined {
  const recorded = recordedAddresses(node);
  const spec = node.spec as { readonly bgp?: { readonly asNumber?: unknown } };
  const hasAddresses = ([4, 6] as const).every(
    (family) => addresses[family] === undefined || addresses[family] === recorded[family],
  );
  // Calico's own writes it as text in etcd.
  const hasNumber = asNumber === undefined || String(spec.bgp?.asNumber) === String(asNumber);
  if (hasAddresses && hasNumber) return undefined;
  return { ...node, spec: { ...spec, bgp: { ...spec.bgp, ...bgpOf(addresses, asNumber) } } };
}

function bgpOf({ 4: ipv4Address, 6: ipv6Address }: NodeAddresses, asNumber: number | undefined): object {
  return {
    ...(asNumber !== undefined && { asNumber }),
    ...(ipv4Address !== undefined && { ipv4Address }),
    ...(ipv6Address !== undefined && { ipv6Address }),
  };
}
