/** The router ID (RFC 6286): four bytes, unique in the cluster, written as an IPv4 address. */
import { createHash } from "node:crypto";
import { addressOf } from "../../net/prefix.ts";
import { type BgpSnapshot, ownNode } from "./snapshot.ts";

/** Takes it from the settings, else from the node's IPv4 address, else from a digest of the node's name, which is unique but for accidents. */
export function routerIdOf(snapshot: BgpSnapshot): string {
  const { node, routerId } = snapshot;
  const address = ownNode(snapshot)?.addresses[4];
  if (routerId !== undefined && routerId !== "hash") return routerId;
  if (routerId === undefined && address !== undefined) return addressOf(address);
  const [first = 0, ...rest] = createHash("sha256").update(node).digest().subarray(0, 4);
  // 0.0.0.0 is not valid.
  return [Math.max(first, 1), ...rest].join(".");
}
