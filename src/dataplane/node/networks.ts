/**
 * The networks of the node, from the configuration of the kernel and the resolver. Reads all routes, and a node has one per pod, so this is only
 * for STATUS and for the creation of a pool.
 */
import { isErrno, type Sys } from "../../host/sys.ts";
import type { Family } from "../../net/address.ts";
import { isOfNode, type LinkAddress, type NodeNetworks, resolversIn } from "../../net/node-networks.ts";
import { dumpAddresses, readAddress } from "../../netlink/address.ts";
import { getLink, readLink } from "../../netlink/link.ts";
import { dumpRoutes, readRoute } from "../../netlink/route.ts";
import { NetlinkConnection } from "../connection.ts";
import { documentationAddresses, routeTo } from "./addresses.ts";

const resolverFile = "/etc/resolv.conf";

/** Throws `KernelError` if the kernel does not answer. */
export function readNodeNetworks(sys: Sys, family: Family): NodeNetworks {
  return conversing(sys, (connection) => {
    const gateway = routeTo(documentationAddresses[family], connection)?.gateway;
    return {
      addresses: addressesOf(connection, family),
      gateways: gateway !== undefined && isOfNode({ link: "", address: gateway }) ? [gateway] : [],
      resolvers: resolversIn(readText(sys, resolverFile)),
    };
  });
}

/** The destinations of all routes. Throws `KernelError` if the kernel does not answer. */
export function readDestinations(sys: Sys, family: Family): readonly string[] {
  return conversing(sys, (connection) =>
    connection
      .dump(dumpRoutes(family), ["list", "the node's routes"])
      .flatMap(readRoute)
      .map(({ destination }) => destination),
  );
}

function conversing<T>(sys: Sys, body: (connection: NetlinkConnection) => T): T {
  const connection = new NetlinkConnection(sys.openNetlink("route"));
  try {
    return body(connection);
  } finally {
    connection.close();
  }
}

/** Looks up a link's name only for relevant addresses: each host interface of a pod has a link-local one. */
function addressesOf(connection: NetlinkConnection, family: Family): readonly LinkAddress[] {
  const found = connection
    .dump(dumpAddresses(family), ["list", "the node's addresses"])
    .map(readAddress)
    .filter(({ address }) => isOfNode({ link: "", address }));
  const names = new Map<number, string>();
  for (const { index } of found) {
    if (names.has(index)) continue;
    const [link] = connection.request(getLink(index)).replies;
    // The link was deleted meanwhile, and its addresses with it.
    if (link !== undefined) names.set(index, readLink(link).name);
  }
  return found.flatMap(({ index, address }) => {
    const link = names.get(index);
    return link !== undefined && isOfNode({ link, address }) ? [{ link, address }] : [];
  });
}

function readText(sys: Sys, path: string): string {
  try {
    return sys.readFile(path);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR", "EISDIR", "EACCES", "ELOOP")) return "";
    throw error;
  }
}
