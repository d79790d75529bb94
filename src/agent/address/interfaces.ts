/** Reads the interfaces and routes of the node itself. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { canonicalAddress, type Family } from "../../net/address.ts";
import { canonicalPrefix } from "../../net/prefix.ts";
import type { NodeInterface } from "./choose.ts";

/** Interfaces that are up, by index. An alias (`eth0:1`) counts as its interface. */
export function readInterfaces(): readonly NodeInterface[] {
  const found = new Map<string, string[]>();
  for (const [label, addresses = []] of Object.entries(networkInterfaces())) {
    const name = label.replace(/:.*$/, "");
    const known = found.get(name) ?? [];
    known.push(...addresses.flatMap(({ cidr }) => canonicalPrefix(cidr ?? "") ?? []));
    found.set(name, known);
  }
  return [...found]
    .map(([name, addresses]) => ({ name, addresses }))
    .sort((one, other) => indexOf(one.name) - indexOf(other.name));
}

/** The source address of packets to a host; `undefined` without a route. Sends nothing. */
export async function sourceTo(host: string, family: Family): Promise<string | undefined> {
  const socket = createSocket(family === 4 ? "udp4" : "udp6");
  try {
    socket.connect(anyPort, host);
    await once(socket, "connect");
    return canonicalAddress(socket.address().address.replace(/%.*$/, ""));
  } catch {
    return undefined;
  } finally {
    socket.close();
  }
}

/** The kernel looks up the route of a connection, whatever the port. */
const anyPort = 80;

function indexOf(name: string): number {
  try {
    return Number(readFileSync(`/sys/class/net/${name}/ifindex`, "utf8"));
  } catch {
    // The interface is gone.
    return 0;
  }
}
