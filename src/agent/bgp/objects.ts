/** The cluster's objects as BGP sees them. */
import type * as z from "zod";
import { networkNodeOf } from "../../cluster-network/network-node.ts";
import { networkPoolOf } from "../../cluster-network/network-pool.ts";
import type { StoredObject } from "../../store/object.ts";
import { asNumber, bgpConfigurationSchema, bgpFilterSchema, bgpPeerSchema } from "./resources.ts";
import type { BgpNode, BgpPool, Named } from "./snapshot.ts";

interface NodeBgp {
  readonly asNumber?: unknown;
  readonly routeReflectorClusterID?: unknown;
}

/** What is not valid counts as missing. */
export function bgpNodeOf(object: StoredObject): BgpNode {
  const { name, addresses } = networkNodeOf(object);
  const { bgp } = (object.spec ?? {}) as { readonly bgp?: NodeBgp };
  const number = asNumber.safeParse(bgp?.asNumber);
  const clusterId = bgp?.routeReflectorClusterID;
  return {
    ...{ name, addresses, labels: object.metadata.labels ?? {} },
    ...(number.success && { asNumber: number.data }),
    ...(typeof clusterId === "string" && isDotted(clusterId) && { routeReflectorClusterId: clusterId }),
  };
}

export function bgpPoolOf(object: StoredObject): BgpPool | undefined {
  const pool = networkPoolOf(object);
  if (pool === undefined) return undefined;
  const { disableBGPExport } = object.spec as { readonly disableBGPExport?: unknown };
  return { cidr: pool.cidr, isTunnelled: pool.encapsulation !== "none", disableBGPExport: disableBGPExport === true };
}

/** The block of an affinity of this node that is not being given up. */
export function ownBlockOf({ spec }: StoredObject): string | undefined {
  const { cidr, state, deleted } = spec as {
    readonly cidr: string;
    readonly state?: string;
    readonly deleted?: unknown;
  };
  const isGoing = state === "pending" || state === "pendingDeletion" || String(deleted) === "true";
  return isGoing ? undefined : cidr;
}

export type Read<T> = { readonly value: Named<T> } | { readonly fault: string };

export const readConfiguration = readerOf(bgpConfigurationSchema);
export const readPeer = readerOf(bgpPeerSchema);
export const readFilter = readerOf(bgpFilterSchema);

function readerOf<S extends z.ZodType>(schema: S): (object: StoredObject) => Read<z.output<S>> {
  return ({ kind, metadata: { name }, spec }) => {
    const read = schema.safeParse(spec ?? {});
    if (read.success) return { value: { name, spec: read.data } };
    const [issue] = read.error.issues;
    return {
      fault: `${kind} "${name}" is ignored: ${issue?.path.join(".") ?? ""}: ${issue?.message ?? "is not valid"}`,
    };
  };
}

function isDotted(text: string): boolean {
  return /^\d{1,3}(\.\d{1,3}){3}$/.test(text);
}
