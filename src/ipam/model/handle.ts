/**
 * Handles: addresses that are released together, here those of one attachment.
 *
 *     k8s-pod-network.3f2a…             Calico's ID: <network>.<containerID>, for eth0
 *     k8s-pod-network/3f2a…/net1        every other interface, and container IDs that contain a dot
 *
 * **No two attachments share a handle**: DEL of one interface leaves the addresses of others alone, and GC of network `a` does not touch
 * network `a.b`. A container ID without a dot starts after the last dot of its handle, and neither part can contain `/`.
 *
 * **A handle names every block that has its addresses**, and may name more: it is written before the block and removed after it.
 */
import { DamagedError } from "../../store/damage.ts";
import type { StoredObject } from "../../store/object.ts";
import { handleName } from "../../store/object-name.ts";
import { read, type Transaction } from "../../store/transaction.ts";

export interface HandleSpec {
  readonly handleID: string;
  /** By CIDR of the block: the number of addresses. */
  readonly block: Readonly<Record<string, number>>;
  readonly deleted: boolean;
}

export interface HandleOwner {
  readonly network: string;
  readonly containerId: string;
  readonly ifname: string;
}

export function handleIdOf({ network, containerId, ifname }: HandleOwner): string {
  if (ifname === "eth0" && !containerId.includes(".")) return `${network}.${containerId}`;
  return `${network}/${containerId}/${ifname}`;
}

/** `undefined` for a handle that does not belong to an attachment. */
export function ownerOfHandle(handleId: string): HandleOwner | undefined {
  const parts = handleId.split("/");
  if (parts.length === 3) {
    const [network = "", containerId = "", ifname = ""] = parts;
    return { network, containerId, ifname };
  }
  const dot = handleId.lastIndexOf(".");
  if (parts.length !== 1 || dot < 0) return undefined;
  return { network: handleId.slice(0, dot), containerId: handleId.slice(dot + 1), ifname: "eth0" };
}

/** `undefined` if there is none. Throws `DamagedError` if it is invalid. */
export function* readHandle(handleId: string): Transaction<StoredObject<HandleSpec> | undefined> {
  const object = yield* read({ kind: "IPAMHandle", handleId });
  return object === undefined ? undefined : decodeHandle(object);
}

export function decodeHandle(object: StoredObject): StoredObject<HandleSpec> {
  const spec = object.spec as Partial<HandleSpec>;
  if (typeof spec.handleID === "string" && typeof spec.block === "object" && spec.block !== null) {
    return object as StoredObject<HandleSpec>;
  }
  throw new DamagedError(
    "use",
    { kind: "IPAMHandle", name: object.metadata.name },
    "its spec has no handleID or no block",
  );
}

export function newHandle(handleId: string, block: Readonly<Record<string, number>>): StoredObject<HandleSpec> {
  return {
    apiVersion: "crd.projectcalico.org/v1",
    kind: "IPAMHandle",
    metadata: { name: handleName(handleId) },
    spec: { handleID: handleId, block, deleted: false },
  };
}
